//! Random histories, judged after every step.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::releases::{judge_buyers, judge_releases};
use super::vouchers::{offer, wish};
use super::witness::Witness;
use super::*;
use crate::domain::command::SettleRefund;
use crate::domain::order::{payment_id, ticket_id};

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Place {
        key: u8,
        buyer: u8,
        general: i64,
        vip: i64,
        voucher: bool,
    },
    /// The organizer puts somebody on the list.
    Guest {
        key: u8,
        vip: bool,
    },
    Start {
        key: u8,
        order: usize,
    },
    Settle {
        order: usize,
        attempt: u32,
        paid: bool,
    },
    Refund {
        order: usize,
        attempt: u32,
    },
    Cancel {
        key: u8,
        order: usize,
    },
    /// With the row as it is, or as it was when the order was paid.
    TakeBack {
        key: u8,
        order: usize,
        stale: bool,
    },
    /// Likewise, one ticket.
    Release {
        key: u8,
        order: usize,
        place: i64,
        stale: bool,
    },
    /// The event takes seats back, or no longer.
    TakesBack {
        seats: bool,
    },
    Wait {
        seconds: u64,
    },
    Raise {
        general: i64,
    },
    /// The voucher can be had so often.
    Terms {
        max_uses: i64,
    },
    /// The catalog asks to sell so much less, and then writes that down, gives up, or is never heard of again.
    Lower {
        general: i64,
        then: Then,
    },
    /// The event is called off, for good.
    CallOff,
}

/// What becomes of a grant.
#[derive(Debug, Clone, Copy)]
enum Then {
    Written,
    GivenUp,
    /// The next change of the event comes by and lifts it.
    Left,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 0..6_u8, 0..4_i64, 0..3_i64, any::<bool>()).prop_map(
            |(key, buyer, general, vip, voucher)| Step::Place { key, buyer, general, vip, voucher }
        ),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(key, vip)| Step::Guest { key, vip }),
        3 => (any::<u8>(), 0..20_usize).prop_map(|(key, order)| Step::Start { key, order }),
        4 => (0..20_usize, 1..4_u32, any::<bool>())
            .prop_map(|(order, attempt, paid)| Step::Settle { order, attempt, paid }),
        1 => (0..20_usize, 1..4_u32).prop_map(|(order, attempt)| Step::Refund { order, attempt }),
        1 => (any::<u8>(), 0..20_usize).prop_map(|(key, order)| Step::Cancel { key, order }),
        2 => (any::<u8>(), 0..20_usize, any::<bool>())
            .prop_map(|(key, order, stale)| Step::TakeBack { key, order, stale }),
        3 => (any::<u8>(), 0..20_usize, 1..5_i64, any::<bool>())
            .prop_map(|(key, order, place, stale)| Step::Release { key, order, place, stale }),
        1 => any::<bool>().prop_map(|seats| Step::TakesBack { seats }),
        2 => (1..900_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0..10_i64).prop_map(|general| Step::Raise { general }),
        1 => (0..6_i64).prop_map(|max_uses| Step::Terms { max_uses }),
        1 => (1..8_i64, prop_oneof![Just(Then::Written), Just(Then::GivenUp), Just(Then::Left)])
            .prop_map(|(general, then)| Step::Lower { general, then }),
        // Seldom: most histories have some steps before it, and some never come to it.
        1 => proptest::bool::weighted(0.3).prop_map(|off| match off {
            true => Step::CallOff,
            false => Step::Wait { seconds: 1 },
        }),
    ]
}

fn offered(version: i64, general: i64, called_off: bool, takes_back: bool) -> Inventory {
    let offered = match called_off {
        true => cancelled(version, general, 5),
        false => inventory(version, general, 5),
    };
    Inventory {
        attendance_releases_seat: takes_back,
        ..offered
    }
}

fn play(steps: &[Step]) {
    let mut hall = Hall::open(12, 5);
    let mut witness = Witness::default();
    let mut version = 2;
    let mut quantity = 12;
    let mut called_off = false;
    let mut takes_back = true;
    hall.apply(&offered(2, 12, called_off, takes_back));
    let mut granted = None;
    let mut terms = offer(Reduction::Percent(30), 2);
    let mut seen = 0;
    for (index, step) in steps.iter().enumerate() {
        // Every step is a batch, which first cancels some of what its event has left behind.
        hall.turn();
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
                let outcome = if paid {
                    witness.captured.insert(payment, order.total);
                    PaymentOutcome::Paid
                } else {
                    PaymentOutcome::Declined
                };
                if hall.settle(&order, payment, outcome, None) == Err(Refusal::SeeRow) {
                    let row = witness.row(&order);
                    hall.settle(&order, payment, outcome, row)
                        .expect("a true row is enough");
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
                takes_back = *seats;
                granted = None;
                hall.apply(&offered(version, quantity, called_off, takes_back));
            }
            Step::Wait { seconds } => hall.wait(Duration::from_secs(*seconds)),
            Step::Terms { max_uses } => terms.max_uses = *max_uses,
            Step::Raise { general } => {
                version += 1;
                quantity += general;
                granted = None;
                hall.apply(&offered(version, quantity, called_off, takes_back));
            }
            Step::Lower { general, then } => {
                let wanted = (quantity - general).max(0);
                if hall.lower(version + 1, &[(GENERAL, wanted)]).is_ok() {
                    if matches!(then, Then::Written) {
                        quantity = wanted;
                    }
                    granted = matches!(then, Then::Left).then_some(wanted);
                    if granted.is_none() {
                        version += 1;
                        hall.apply(&offered(version, quantity, called_off, takes_back));
                    }
                }
            }
            Step::CallOff => {
                version += 1;
                called_off = true;
                granted = None;
                hall.apply(&offered(version, quantity, called_off, takes_back));
            }
        }
        // With those of steps that came to nothing, of which the event's end may have made facts all the same.
        let facts = hall.facts[seen..].to_vec();
        seen = hall.facts.len();
        witness.see(&facts);
        judge(&hall, &witness, index);
        let (held, sold, _) = hall.stock(GENERAL);
        let most = granted.unwrap_or(quantity);
        assert!(held + sold <= most, "{held} held and {sold} sold of {most}");
        if called_off {
            let sells = |fact: &Fact| matches!(fact, Fact::Reserved(_) | Fact::Confirmed(_));
            assert!(!facts.iter().any(sells), "sold when it was off: {facts:?}");
        }
        if called_off || !takes_back {
            let gives_back = |fact: &Fact| matches!(fact, Fact::Released(_));
            assert!(!facts.iter().any(gives_back), "kept: {facts:?}");
        }
    }
    witness.see(&hall.facts[seen..]);
    if called_off {
        wind_up(&mut hall, &mut witness);
        judge(&hall, &witness, steps.len());
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
    fn random_histories_keep_the_sums(steps in proptest::collection::vec(step(), 1..80)) {
        play(&steps);
    }
}
