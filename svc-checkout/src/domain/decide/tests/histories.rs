//! Random histories, judged after every step.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::releases::{judge_buyers, judge_releases};
use super::steps::{Step, Then, history};
use super::vouchers::{offer, wish};
use super::witness::Witness;
use super::*;
use crate::domain::command::SettleRefund;
use crate::domain::order::{payment_id, ticket_id};

/// What a history has come to: the books, and what was committed on the way there.
pub(crate) struct Played {
    pub(crate) books: Books,
    pub(crate) committed: Vec<Changes>,
}

/// What must hold when a batch is committed.
struct Judge {
    /// Facts that were looked at.
    seen: usize,
    quantity: i64,
    granted: Option<i64>,
    called_off: bool,
    takes_back: bool,
}

impl Judge {
    fn offered(&self, version: i64) -> Inventory {
        let offered = match self.called_off {
            true => cancelled(version, self.quantity, 5),
            false => inventory(version, self.quantity, 5),
        };
        Inventory {
            attendance_releases_seat: self.takes_back,
            ..offered
        }
    }

    /// Commits the open batch, of which the tables and everybody else learn now.
    fn close(&mut self, hall: &mut Hall, witness: &mut Witness, index: usize) {
        hall.commit();
        let facts = hall.facts[self.seen..].to_vec();
        self.seen = hall.facts.len();
        witness.see(&facts);
        judge(hall, witness, index);
        let (held, sold, _) = hall.stock(GENERAL);
        let most = self.granted.unwrap_or(self.quantity);
        assert!(held + sold <= most, "{held} held and {sold} sold of {most}");
        if self.called_off {
            let sells = |fact: &Fact| matches!(fact, Fact::Reserved(_) | Fact::Confirmed(_));
            assert!(!facts.iter().any(sells), "sold when it was off: {facts:?}");
        }
        if self.called_off || !self.takes_back {
            let gives_back = |fact: &Fact| matches!(fact, Fact::Released(_));
            assert!(!facts.iter().any(gives_back), "kept: {facts:?}");
        }
    }
}

pub(crate) fn play(steps: &[(Step, bool)]) -> Played {
    let mut hall = Hall::open(12, 5);
    hall.keeps_desk_open = true;
    let mut witness = Witness::default();
    let mut version = 2;
    let mut now = Judge {
        seen: 0,
        quantity: 12,
        granted: None,
        called_off: false,
        takes_back: true,
    };
    hall.apply(&now.offered(version));
    let mut terms = offer(Reduction::Percent(30), 2);
    for (index, (step, same_desk)) in steps.iter().enumerate() {
        if !same_desk || step.begins_a_batch() {
            now.close(&mut hall, &mut witness, index);
            // The next batch first cancels some of what its event has left behind.
            hall.turn();
        }
        match step {
            Step::Place {
                key,
                buyer,
                general,
                vip,
                voucher,
            } => {
                let lines: Vec<_> = [(GENERAL, *general), (VIP, *vip)]
                    .into_iter()
                    .filter(|(_, wanted)| *wanted > 0)
                    .collect();
                if lines.is_empty() {
                    continue;
                }
                // The door of a real service looks the row up before it sends a repeat.
                let command = u128::from(*key % 24) + u128::from(*buyer) * 1000 + 1;
                let mut command = hall.place_command(command, u128::from(*buyer), &lines);
                if *voucher {
                    command = wish(command, Some(terms));
                }
                witness.note(hall.decide(&command));
            }
            Step::Guest { key, vip } => {
                let guest = u128::from(*key % 8);
                let ticket_type = if *vip { VIP } else { GENERAL };
                let command = hall.guest_command(5_000_000 + guest, 9_000 + guest, ticket_type);
                witness.note(hall.decide(&command));
            }
            Step::Start { key, order } => {
                if let Some(order) = witness.orders.get(*order).cloned() {
                    let command =
                        1_000_000 + u128::from(*key % 8) + order.id.as_u128() % 99_991 * 8;
                    if let Ok(Answer::PaymentStarted { payment_id, .. }) =
                        hall.start(command, &order)
                    {
                        witness.started.insert(payment_id);
                    }
                }
            }
            Step::Settle {
                order,
                attempt,
                paid,
            } => {
                let Some(order) = witness.orders.get(*order).cloned() else {
                    continue;
                };
                let payment = payment_id(order.id, *attempt);
                if !witness.started.contains(&payment) {
                    continue;
                }
                // The provider's word is final: what was captured stays captured.
                let paid = *paid || witness.captured.contains_key(&payment);
                let outcome = match paid {
                    true => PaymentOutcome::Paid,
                    false => PaymentOutcome::Declined,
                };
                if hall.settle(&order, payment, outcome, None) == Err(Refusal::SeeRow) {
                    // Who asks again looks until the row is there.
                    now.close(&mut hall, &mut witness, index);
                    let row = witness.row(&order);
                    hall.settle(&order, payment, outcome, row)
                        .expect("a true row is enough");
                }
                // Until it is settled its money is on its way.
                if paid {
                    witness.captured.insert(payment, order.total);
                }
            }
            Step::Refund { order, attempt } => {
                if let Some(order) = witness.orders.get(*order).cloned() {
                    let payment = payment_id(order.id, *attempt);
                    hall.decide(&Command::SettleRefund(SettleRefund {
                        command_id: payment,
                        event_id: EVENT,
                        order_id: order.id,
                        payment_id: payment,
                    }))
                    .expect("a refund is never refused");
                }
            }
            Step::Cancel { key, order } => {
                if let Some(order) = witness.orders.get(*order).cloned() {
                    let command =
                        2_000_000 + u128::from(*key % 8) + order.id.as_u128() % 99_991 * 8;
                    let _ = hall.cancel(command, &order);
                }
            }
            Step::TakeBack { key, order, stale } => {
                if let Some(order) = witness.orders.get(*order).cloned() {
                    let command =
                        3_000_000 + u128::from(*key % 8) + order.id.as_u128() % 99_991 * 8;
                    let was = witness.paid_rows.get(&order.id).filter(|_| *stale).cloned();
                    if let Some(row) = was.or_else(|| witness.row(&order)) {
                        let _ = hall.refund(command, &order, row);
                    }
                }
            }
            Step::Release {
                key,
                order,
                place,
                stale,
            } => {
                if let Some(order) = witness.orders.get(*order).cloned() {
                    let ticket = ticket_id(order.id, *place);
                    let command = 6_000_000 + u128::from(*key % 8) + ticket.as_u128() % 99_991 * 8;
                    let was = witness.paid_rows.get(&order.id).filter(|_| *stale).cloned();
                    if let Some(row) = was.or_else(|| witness.row(&order)) {
                        let _ = hall.release(command, &order, ticket, row);
                    }
                }
            }
            Step::TakesBack { seats } => {
                version += 1;
                now.takes_back = *seats;
                now.granted = None;
                hall.apply(&now.offered(version));
            }
            Step::Wait { seconds } => hall.wait(Duration::from_secs(*seconds)),
            Step::Terms { max_uses } => terms.max_uses = *max_uses,
            Step::Raise { general } => {
                version += 1;
                now.quantity += general;
                now.granted = None;
                hall.apply(&now.offered(version));
            }
            Step::Lower { general, then } => {
                let wanted = (now.quantity - general).max(0);
                if hall.lower(version + 1, &[(GENERAL, wanted)]).is_ok() {
                    if matches!(then, Then::Written) {
                        now.quantity = wanted;
                    }
                    now.granted = matches!(then, Then::Left).then_some(wanted);
                    if now.granted.is_none() {
                        version += 1;
                        hall.apply(&now.offered(version));
                    }
                }
            }
            Step::CallOff => {
                version += 1;
                now.called_off = true;
                now.granted = None;
                hall.apply(&now.offered(version));
            }
        }
    }
    now.close(&mut hall, &mut witness, steps.len());
    hall.keeps_desk_open = false;
    if now.called_off {
        wind_up(&mut hall, &mut witness);
        judge(&hall, &witness, steps.len());
    }
    Played {
        books: hall.books,
        committed: hall.committed,
    }
}

/// Does what the engine and the jobs do when an event was called off, until nothing is left to do.
fn wind_up(hall: &mut Hall, witness: &mut Witness) {
    let seen = hall.facts.len();
    while hall.turn() > 0 {}
    let open: Vec<_> = hall.books.holds().map(|h| Arc::clone(&h.order)).collect();
    for order in open {
        // What is not captured by now is voided.
        let payment = hall.books.holds().find(|h| h.order.id == order.id);
        let payment = payment.and_then(|h| h.open_payment()).expect("paying");
        let outcome = match witness.captured.contains_key(&payment) {
            true => PaymentOutcome::Paid,
            false => PaymentOutcome::Declined,
        };
        hall.settle(&order, payment, outcome, None)
            .expect("settled");
    }
    witness.see(&hall.facts[seen..]);
    let seen = hall.facts.len();
    for (number, order) in witness.orders.iter().enumerate() {
        let row = witness.row(order).expect("it was placed");
        if row.status == Status::Paid {
            let command = 4_000_000 + number as u128;
            hall.refund(command, order, row).expect("refunded");
        }
    }
    witness.see(&hall.facts[seen..]);
    assert_eq!(hall.books.holds().count(), 0);
    let event = hall.books.events().next().expect("the event is there");
    assert!(!event.owes_refunds());
    for ticket_type in &event.ticket_types {
        assert_eq!((ticket_type.held, ticket_type.sold), (0, 0));
    }
    let owed = refunds_due(&hall.facts);
    for payment in witness.captured.keys() {
        assert!(owed.contains(payment), "captured money is kept");
    }
}

fn judge(hall: &Hall, witness: &Witness, index: usize) {
    let event = hall.books.events().next().expect("the event is there");
    let mut held: HashMap<Uuid, i64> = HashMap::new();
    for hold in hall.books.holds() {
        for line in &hold.order.lines {
            *held.entry(line.ticket_type_id).or_default() += line.quantity;
        }
    }
    let mut sold: HashMap<Uuid, i64> = HashMap::new();
    let mut numbers = HashSet::new();
    let mut bought: HashSet<Uuid> = HashSet::new();
    let mut taken_back: HashSet<Uuid> = HashSet::new();
    judge_releases(hall, &mut sold);
    judge_buyers(hall);
    for fact in &hall.facts {
        if let Fact::Refunded(order) = fact {
            for line in &order.lines {
                *sold.entry(line.ticket_type_id).or_default() -= line.quantity;
            }
            taken_back.extend(order.payment_id);
        }
        if let Fact::Confirmed(order) = fact {
            for ticket in &order.tickets {
                *sold.entry(ticket.ticket_type_id).or_default() += 1;
                assert!(
                    numbers.insert(ticket.number),
                    "ticket number twice at step {index}"
                );
            }
            let Some(payment) = order.payment_id else {
                assert_eq!(order.total, eur(0), "only guests have tickets for nothing");
                continue;
            };
            assert!(
                bought.insert(payment),
                "one payment bought twice at step {index}"
            );
            assert!(
                witness.captured.contains_key(&payment),
                "tickets without money"
            );
        }
    }
    let count = i64::try_from(numbers.len()).expect("small");
    assert_eq!(numbers.iter().max().copied().unwrap_or(0), count, "gapless");
    for ticket_type in &event.ticket_types {
        assert!(
            ticket_type.free() >= 0,
            "oversold at step {index}: {ticket_type:?}"
        );
        assert_eq!(
            ticket_type.held,
            held.get(&ticket_type.id).copied().unwrap_or(0)
        );
        assert_eq!(
            ticket_type.sold,
            sold.get(&ticket_type.id).copied().unwrap_or(0)
        );
    }
    assert_eq!(hall.books.miscounted_seats(), 0, "at step {index}");
    let mut uses = hall.books.vouchers().map(|(_, uses)| uses);
    assert_eq!(uses.next().unwrap_or(0), witness.uses, "at step {index}");
    let owed = refunds_due(&hall.facts);
    let distinct: HashSet<_> = owed.iter().copied().collect();
    assert_eq!(
        owed.len(),
        distinct.len(),
        "a refund due twice at step {index}"
    );
    for payment in witness.captured.keys() {
        assert!(
            (bought.contains(payment) && !taken_back.contains(payment))
                ^ distinct.contains(payment),
            "captured money at step {index} must buy tickets or be owed back, and not both"
        );
    }
}

/// 10,000 take seconds; `infra/local/proof` plays more.
fn histories() -> u32 {
    let more = option_env!("RANDOM_HISTORIES");
    more.map_or(10_000, |count| {
        count.parse().expect("RANDOM_HISTORIES is a number")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(histories()))]

    #[test]
    fn random_histories_keep_the_sums(steps in history()) {
        play(&steps);
    }
}
