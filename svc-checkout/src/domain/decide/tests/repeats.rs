//! Commands that come again, too late, or after a refusal.

use super::*;

/// Longer than a client waits.
const PATIENCE_IS_OVER: Duration = Duration::from_secs(6);

#[test]
fn no_command_is_decided_when_its_client_has_gone() {
    let mut hall = Hall::open(10, 10);
    let held = hall.order(1, 1, &[(GENERAL, 1)]);
    let paid = hall.paid(2, 2, &[(GENERAL, 1)]);
    let not_after = hall.now + Duration::from_secs(5);
    let (event_id, user_id, order_id) = (EVENT, held.user_id, held.id);
    let (command_id, fingerprint) = (Uuid::from_u128(77), [1; 32]);
    let late = [
        hall.place_command(3, 1, &[(GENERAL, 1)]),
        Command::StartPayment(StartPayment {
            command_id,
            event_id,
            order_id,
            user_id,
            fingerprint,
            not_after,
        }),
        Command::CancelOrder(CancelOrder {
            command_id,
            event_id,
            order_id,
            user_id,
            fingerprint,
            not_after,
        }),
        Command::RefundOrder(RefundOrder {
            command_id,
            event_id,
            order_id: paid.id,
            user_id: ORGANIZER,
            row: row(&paid, Status::Paid, paid.payment_id),
            fingerprint,
            not_after,
        }),
        Command::LowerQuantities(LowerQuantities {
            command_id,
            event_id,
            version: 2,
            quantities: vec![(GENERAL, 5)],
            not_after,
        }),
    ];
    hall.now = hall.now + PATIENCE_IS_OVER;
    for command in &late {
        assert_eq!(hall.decide(command), Err(Refusal::TooLate), "{command:?}");
    }
    // None of them is remembered: each is decided anew when somebody waits for it again.
    hall.now = Timestamp::from_seconds(1_000_000);
    for command in &late[..2] {
        assert!(hall.decide(command).is_ok(), "{command:?}");
    }
}

#[test]
fn what_money_did_is_never_too_late() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(2, &order);
    hall.now = hall.now + PATIENCE_IS_OVER;
    let settled = hall.settle(&order, payment, PaymentOutcome::Paid, None);
    assert!(settled.is_ok(), "{settled:?}");
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
}

#[test]
fn a_repeat_out_of_a_backlog_gets_its_order() {
    let mut hall = Hall::open(10, 10);
    let wish = hall.place_command(1, 1, &[(GENERAL, 1)]);
    let first = hall.decide(&wish).expect("an order").answer;
    hall.now = hall.now + PATIENCE_IS_OVER;
    let again = hall.decide(&wish).expect("the same order").answer;
    assert_eq!(first, again);
    assert_eq!(hall.stock(GENERAL), (1, 0, 9));
}

#[test]
fn a_refusal_is_forgotten_and_the_same_wish_decided_anew() {
    let mut hall = Hall::open(1, 1);
    let held = hall.order(1, 1, &[(GENERAL, 1)]);
    let wish = hall.place_command(2, 2, &[(GENERAL, 1)]);
    assert!(matches!(hall.decide(&wish), Err(Refusal::SoldOut { .. })));
    hall.cancel(3, &held).expect("cancelled");
    assert!(hall.decide(&wish).is_ok());
    assert_eq!(hall.stock(GENERAL), (1, 0, 0));
}

#[test]
fn a_row_is_newer_than_the_one_before_at_the_same_time() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    // No time passes, and the clock of the next owner may be behind.
    hall.now = Timestamp::from_seconds(999_999);
    hall.cancel(2, &order).expect("cancelled");
    let ended = hall.facts.iter().find_map(|fact| match fact {
        Fact::Cancelled { order, .. } => Some(order.updated_at),
        _ => None,
    });
    assert!(ended.expect("it is cancelled") > order.updated_at);
}
