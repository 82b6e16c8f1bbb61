//! What a voucher takes off, and for how many orders.

use super::*;
use crate::domain::order::{PAYMENT_WINDOW, PROVIDER_PATIENCE};

fn code() -> VoucherCode {
    VoucherCode::parse("early").expect("a code")
}

pub(super) fn offer(reduction: Reduction, max_uses: i64) -> VoucherOffer {
    VoucherOffer {
        version: 1,
        reduction,
        max_uses,
        valid_until: None,
    }
}

/// The wish with the voucher, of which the catalog says this.
pub(super) fn wish(mut command: Command, offer: Option<VoucherOffer>) -> Command {
    if let Command::PlaceOrder(place) = &mut command {
        place.voucher = Some(WantedVoucher {
            code: code(),
            offer,
        });
        place.fingerprint = [0x7f; 32];
    }
    command
}

impl Hall {
    /// One general ticket with the voucher.
    fn one_with(
        &mut self,
        command: u128,
        offer: Option<VoucherOffer>,
    ) -> Result<Arc<Order>, Refusal> {
        let wish = wish(self.place_command(command, 1, &[(GENERAL, 1)]), offer);
        match self.decide(&wish)?.answer {
            Answer::Order(order) => Ok(order),
            other => panic!("no order: {other:?}"),
        }
    }

    fn uses(&self) -> i64 {
        self.books.vouchers().map(|(_, uses)| uses).sum()
    }
}

const HALF: Reduction = Reduction::Percent(50);

#[test]
fn it_is_taken_off_the_sum_of_the_lines() {
    let mut hall = Hall::open(10, 10);
    for (number, reduction, discount) in [
        (1, Reduction::Percent(33), 825),
        (2, Reduction::Amount(eur(500)), 500),
        (3, Reduction::Amount(eur(2_499)), 2_499),
    ] {
        let order = hall.one_with(number, Some(offer(reduction, 9)));
        let order = order.expect("an order");
        assert_eq!(order.total, eur(2_500 - discount));
        assert_eq!(order.discount(), eur(discount));
        assert_eq!(order.lines[0].line_total, eur(2_500));
        let payment = hall.started(100 + number, &order);
        let settled = hall.settle(&order, payment, PaymentOutcome::Paid, None);
        let Ok(Answer::Order(paid)) = settled.map(|decision| decision.answer) else {
            panic!("not paid");
        };
        assert_eq!((paid.total, &paid.voucher), (order.total, &order.voucher));
    }
}

#[test]
fn an_order_of_which_nothing_is_left_to_pay_is_paid_at_once() {
    let mut hall = Hall::open(10, 10);
    for (number, reduction) in [
        (1, Reduction::Percent(100)),
        (2, Reduction::Amount(eur(9_999))),
    ] {
        let order = hall.one_with(number, Some(offer(reduction, 9)));
        let order = order.expect("an order");
        assert_eq!((order.status, order.total), (Status::Paid, eur(0)));
        assert_eq!((order.tickets.len(), order.payment_id), (1, None));
        assert_eq!(order.discount(), eur(2_500));
    }
    assert_eq!(hall.stock(GENERAL), (0, 2, 8));
    assert_eq!(hall.uses(), 2);
}

#[test]
fn one_that_is_not_there_or_over_or_in_other_money_is_refused_alike() {
    let mut hall = Hall::open(10, 10);
    let over = VoucherOffer {
        valid_until: Some(hall.now),
        ..offer(HALF, 9)
    };
    let dollars = Money::new(500, Currency::USD);
    for wrong in [None, Some(over), Some(offer(Reduction::Amount(dollars), 9))] {
        assert_eq!(hall.one_with(1, wrong), Err(Refusal::VoucherInvalid));
    }
    let last_moment = VoucherOffer {
        valid_until: Some(hall.now + Duration::from_micros(1)),
        ..over
    };
    hall.one_with(1, Some(last_moment)).expect("an order");
}

#[test]
fn a_use_comes_back_with_the_hold_and_not_with_a_refund() {
    let mut hall = Hall::open(10, 10);
    let once = Some(offer(HALF, 1));
    hall.one_with(1, once).expect("an order");
    assert_eq!(hall.one_with(2, once), Err(Refusal::VoucherUsedUp));
    hall.wait(HOLD);
    assert_eq!(hall.uses(), 0);

    let cancelled = hall.one_with(3, once).expect("an order");
    assert_eq!(hall.one_with(4, once), Err(Refusal::VoucherUsedUp));
    hall.cancel(103, &cancelled).expect("cancelled");
    assert_eq!(hall.uses(), 0);

    let refunded = hall.one_with(5, once).expect("an order");
    let payment = hall.started(105, &refunded);
    hall.settle(&refunded, payment, PaymentOutcome::Paid, None)
        .expect("paid");
    let paid = row(&refunded, Status::Paid, Some(payment));
    hall.refund(205, &refunded, paid).expect("refunded");
    assert_eq!(hall.uses(), 1);
    assert_eq!(hall.one_with(6, once), Err(Refusal::VoucherUsedUp));

    // More of it than before, and the event is called off.
    hall.one_with(7, Some(offer(HALF, 2))).expect("an order");
    assert_eq!(hall.uses(), 2);
    hall.apply(&super::cancelled(2, 10, 10));
    assert_eq!(hall.uses(), 1);
}

#[test]
fn who_pays_after_the_end_has_it_again_whatever_is_left() {
    let mut hall = Hall::open(10, 10);
    let once = Some(offer(HALF, 1));
    // One is still remembered when its payment is found, of the other only its row is left.
    let late = hall.one_with(1, once).expect("an order");
    let payment = hall.started(101, &late);
    hall.wait(HOLD + PAYMENT_WINDOW + PROVIDER_PATIENCE);
    let forgotten = hall.one_with(2, once).expect("an order");
    let declined = hall.started(102, &forgotten);
    hall.settle(&forgotten, declined, PaymentOutcome::Declined, None)
        .expect("declined");
    hall.wait(HOLD);
    assert_eq!(hall.uses(), 0);
    hall.one_with(3, once).expect("an order");

    let settled = hall.settle(&late, payment, PaymentOutcome::Paid, None);
    let Ok(Answer::Order(paid)) = settled.map(|decision| decision.answer) else {
        panic!("not paid");
    };
    assert_eq!((paid.total, &paid.voucher), (late.total, &late.voucher));
    assert_eq!(hall.uses(), 2);
    let row = row(&forgotten, Status::Expired, None);
    hall.settle(&forgotten, declined, PaymentOutcome::Paid, Some(row))
        .expect("paid");
    assert_eq!(hall.uses(), 3);
    let thrice = Some(offer(HALF, 3));
    assert_eq!(hall.one_with(4, thrice), Err(Refusal::VoucherUsedUp));
}

#[test]
fn a_repeat_gets_its_order_when_the_voucher_is_used_up_and_gone() {
    let mut hall = Hall::open(10, 10);
    let order = hall.one_with(1, Some(offer(HALF, 1))).expect("an order");
    assert_eq!(
        hall.one_with(1, Some(offer(HALF, 1))),
        Ok(Arc::clone(&order))
    );
    assert_eq!(hall.one_with(1, None), Ok(order));
    assert_eq!(hall.uses(), 1);
    assert_eq!(
        hall.place(1, 1, &[(GENERAL, 1)]),
        Err(Refusal::KeyReused),
        "the same wish without the voucher is another one"
    );
}

#[test]
fn another_event_has_another_voucher_of_the_same_code() {
    let mut hall = Hall::open(10, 10);
    hall.one_with(1, Some(offer(HALF, 1))).expect("an order");
    let other = Inventory {
        event_id: Uuid::from_u128(0xee),
        ..inventory(1, 10, 10)
    };
    hall.apply(&other);
    let mut there = wish(
        hall.place_command(2, 1, &[(GENERAL, 1)]),
        Some(offer(HALF, 1)),
    );
    if let Command::PlaceOrder(place) = &mut there {
        place.event_id = other.event_id;
    }
    hall.decide(&there).expect("an order");
    assert_eq!(hall.books.vouchers().count(), 2);
}
