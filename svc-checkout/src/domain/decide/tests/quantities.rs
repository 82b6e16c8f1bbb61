//! Lowering quantities: granted before the catalog writes it down, and lifted by the inventory that follows.

use super::*;

fn sold_out(hall: &mut Hall, command: u128, lines: &[(Uuid, i64)]) -> bool {
    matches!(hall.place(command, 9, lines), Err(Refusal::SoldOut { .. }))
}

#[test]
fn what_is_held_and_sold_is_never_taken_away() {
    let mut hall = Hall::open(10, 5);
    hall.order(1, 1, &[(GENERAL, 2)]);
    hall.paid(2, 2, &[(GENERAL, 3)]);
    let refused = Err(Refusal::BelowSold {
        ticket_type_id: GENERAL,
        taken: 5,
    });
    assert_eq!(hall.lower(2, &[(GENERAL, 4)]), refused);
    // All or nothing: the vip seats, which could be fewer, stay.
    assert_eq!(hall.lower(2, &[(VIP, 1), (GENERAL, 0)]), refused);
    assert_eq!(hall.stock(VIP), (0, 0, 5));
    assert_eq!(hall.lower(2, &[(GENERAL, 5)]), Ok(Answer::Nothing));
    assert_eq!(hall.stock(GENERAL), (2, 3, 0));
}

#[test]
fn a_grant_counts_before_the_catalog_has_written_it() {
    let mut hall = Hall::open(10, 5);
    hall.order(1, 1, &[(GENERAL, 2)]);
    assert_eq!(hall.lower(2, &[(GENERAL, 3)]), Ok(Answer::Nothing));
    assert!(sold_out(&mut hall, 2, &[(GENERAL, 2)]));
    hall.order(3, 3, &[(GENERAL, 1)]);
    assert!(hall.apply(&inventory(2, 3, 5)));
    assert_eq!(hall.stock(GENERAL), (3, 0, 0));
}

#[test]
fn a_change_that_came_first_leaves_the_grant() {
    let mut hall = Hall::open(10, 5);
    // Asked for on top of version 2, whose inventory comes only now.
    assert_eq!(hall.lower(3, &[(GENERAL, 4)]), Ok(Answer::Nothing));
    assert!(hall.apply(&inventory(2, 20, 6)));
    assert_eq!(hall.stock(GENERAL), (0, 0, 4));
    assert_eq!(hall.stock(VIP), (0, 0, 6));
    assert!(hall.apply(&inventory(3, 4, 6)));
    assert_eq!(hall.stock(GENERAL), (0, 0, 4));
    assert!(hall.apply(&inventory(4, 9, 6)));
    assert_eq!(hall.stock(GENERAL), (0, 0, 9));
}

#[test]
fn an_abandoned_grant_goes_with_the_next_version() {
    let mut hall = Hall::open(10, 5);
    assert_eq!(hall.lower(2, &[(GENERAL, 0)]), Ok(Answer::Nothing));
    assert!(sold_out(&mut hall, 1, &[(GENERAL, 1)]));
    assert!(hall.apply(&inventory(2, 10, 5)));
    hall.order(2, 1, &[(GENERAL, 10)]);
}

#[test]
fn of_two_grants_for_one_version_both_hold() {
    let mut hall = Hall::open(10, 5);
    assert_eq!(hall.lower(2, &[(GENERAL, 3)]), Ok(Answer::Nothing));
    assert_eq!(
        hall.lower(2, &[(GENERAL, 7), (VIP, 2)]),
        Ok(Answer::Nothing)
    );
    assert_eq!(hall.stock(GENERAL), (0, 0, 3));
    assert_eq!(hall.stock(VIP), (0, 0, 2));
}

#[test]
fn a_version_that_is_already_there_is_not_granted() {
    let mut hall = Hall::open(10, 5);
    assert_eq!(
        hall.lower(1, &[(GENERAL, 3)]),
        Err(Refusal::InventoryIsNewer)
    );
}
