//! The table of what an order can do, row by row, and random histories that must keep the sums.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Decision, apply_inventory, decide, expire_hold};
use crate::domain::books::{Books, Desk};
use crate::domain::command::{
    Answer, Command, Fact, OrderRow, PaymentOutcome, PlaceOrder, Refusal, SettlePayment,
    SettleRefund, StartPayment,
};
use crate::domain::event_book::{Inventory, SaleStatus, TicketTypeOffer};
use crate::domain::order::{
    MAX_PAYMENT_ATTEMPTS, Order, PAYMENT_WINDOW, PROVIDER_PATIENCE, Status, payment_id,
};

const HOLD: Duration = Duration::from_secs(600);
const EVENT: Uuid = Uuid::from_u128(0xe);
const GENERAL: Uuid = Uuid::from_u128(0xa);
const VIP: Uuid = Uuid::from_u128(0xb);

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn user(number: u128) -> Uuid {
    Uuid::from_u128(0x1000 + number)
}

fn inventory(version: i64, general: i64, vip: i64) -> Inventory {
    let offer = |id, kind: &str, price, quantity, max_per_buyer| TicketTypeOffer {
        id,
        kind: Arc::from(kind),
        price: eur(price),
        quantity,
        max_per_buyer,
        sale_starts_at: None,
        sale_ends_at: None,
    };
    Inventory {
        event_id: EVENT,
        version,
        status: SaleStatus::Published,
        organizer_id: Uuid::from_u128(0xc),
        currency: Currency::EUR,
        ticket_types: vec![
            offer(GENERAL, "general", 2500, general, None),
            offer(VIP, "vip", 9000, vip, Some(2)),
        ],
    }
}

/// A box office in memory: every step is a batch of its own.
struct Hall {
    books: Books,
    now: Timestamp,
    facts: Vec<Fact>,
}

impl Hall {
    fn open(general: i64, vip: i64) -> Self {
        let mut hall = Self {
            books: Books::default(),
            now: Timestamp::from_seconds(1_000_000),
            facts: Vec::new(),
        };
        hall.apply(&inventory(1, general, vip));
        hall
    }

    fn apply(&mut self, inventory: &Inventory) -> bool {
        let mut desk = Desk::new(&self.books, HOLD);
        let changed = apply_inventory(&mut desk, inventory);
        let changes = desk.changes;
        self.books.merge(changes);
        changed
    }

    fn decide(&mut self, command: &Command) -> Result<Decision, Refusal> {
        let mut desk = Desk::new(&self.books, HOLD);
        let decided = decide(&mut desk, command, self.now);
        let changes = desk.changes;
        if decided.is_err() {
            assert!(
                changes.is_empty(),
                "a refusal changed something: {command:?}"
            );
        }
        self.books.merge(changes);
        if let Ok(decision) = &decided {
            self.facts.extend(decision.facts.iter().cloned());
        }
        decided
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now + by;
        let mut desk = Desk::new(&self.books, HOLD);
        let mut facts = Vec::new();
        for order_id in self.books.due(self.now, usize::MAX) {
            facts.extend(expire_hold(&mut desk, order_id, self.now));
        }
        let changes = desk.changes;
        self.books.merge(changes);
        self.facts.extend(facts);
    }

    fn place(
        &mut self,
        command: u128,
        buyer: u128,
        lines: &[(Uuid, i64)],
    ) -> Result<Answer, Refusal> {
        let command = self.place_command(command, buyer, lines);
        self.decide(&command).map(|decision| decision.answer)
    }

    fn place_command(&self, command: u128, buyer: u128, lines: &[(Uuid, i64)]) -> Command {
        Command::PlaceOrder(PlaceOrder {
            command_id: Uuid::from_u128(command),
            event_id: EVENT,
            user_id: user(buyer),
            lines: lines.to_vec(),
            fingerprint: [u8::try_from(lines.len()).unwrap_or(0); 32],
            not_after: self.now + Duration::from_secs(5),
        })
    }

    fn order(&mut self, command: u128, buyer: u128, lines: &[(Uuid, i64)]) -> Arc<Order> {
        match self.place(command, buyer, lines) {
            Ok(Answer::Order(order)) => order,
            other => panic!("no order: {other:?}"),
        }
    }

    fn start(&mut self, command: u128, order: &Order) -> Result<Answer, Refusal> {
        let command = Command::StartPayment(StartPayment {
            command_id: Uuid::from_u128(command),
            event_id: EVENT,
            order_id: order.id,
            user_id: order.user_id,
            fingerprint: [9; 32],
            not_after: self.now + Duration::from_secs(5),
        });
        self.decide(&command).map(|decision| decision.answer)
    }

    fn started(&mut self, command: u128, order: &Order) -> Uuid {
        match self.start(command, order) {
            Ok(Answer::PaymentStarted { payment_id, .. }) => payment_id,
            other => panic!("not started: {other:?}"),
        }
    }

    fn settle(
        &mut self,
        order: &Order,
        payment_id: Uuid,
        outcome: PaymentOutcome,
        row: Option<OrderRow>,
    ) -> Result<Decision, Refusal> {
        self.decide(&Command::SettlePayment(SettlePayment {
            command_id: payment_id,
            event_id: EVENT,
            order_id: order.id,
            payment_id,
            outcome,
            amount: order.total,
            row,
        }))
    }

    fn stock(&self, id: Uuid) -> (i64, i64, i64) {
        let event = self.books.events().next().expect("the event is there");
        let book = event.ticket_type(id).expect("the type is there");
        (book.held, book.sold, book.free())
    }
}

fn row(order: &Order, status: Status, payment_id: Option<Uuid>) -> OrderRow {
    OrderRow {
        status,
        version: 2,
        user_id: order.user_id,
        lines: order.lines.clone(),
        total: order.total,
        reserved_at: order.reserved_at,
        payment_id,
    }
}

fn refunds_due(facts: &[Fact]) -> Vec<Uuid> {
    facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::RefundDue(owed) => Some(owed.payment_id),
            _ => None,
        })
        .collect()
}

#[test]
fn all_lines_or_none() {
    let mut hall = Hall::open(10, 1);
    let refused = hall.place(1, 1, &[(GENERAL, 3), (VIP, 2)]);
    assert_eq!(
        refused,
        Err(Refusal::SoldOut {
            ticket_type_id: VIP,
            free: 1
        })
    );
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    let order = hall.order(2, 1, &[(GENERAL, 3), (VIP, 1)]);
    assert_eq!(order.total, eur(3 * 2500 + 9000));
    assert_eq!(hall.stock(GENERAL), (3, 0, 7));
    assert_eq!(hall.stock(VIP), (1, 0, 0));
}

#[test]
fn what_cannot_be_sold_is_refused_by_name() {
    let mut hall = Hall::open(10, 10);
    assert_eq!(
        hall.place(1, 1, &[(EVENT, 1)]),
        Err(Refusal::UnknownTicketType(EVENT))
    );
    assert_eq!(
        hall.place(2, 1, &[(VIP, 3)]),
        Err(Refusal::LimitPerBuyer {
            ticket_type_id: VIP,
            limit: 2
        })
    );
    let late = hall.place_command(3, 1, &[(GENERAL, 1)]);
    hall.now = hall.now + Duration::from_secs(6);
    assert_eq!(hall.decide(&late), Err(Refusal::TooLate));
    let mut closed = inventory(2, 10, 10);
    closed.status = SaleStatus::Archived;
    assert!(hall.apply(&closed));
    assert_eq!(hall.place(4, 1, &[(GENERAL, 1)]), Err(Refusal::SaleClosed));
}

#[test]
fn the_limit_counts_held_and_paid_and_comes_back_with_the_hold() {
    let mut hall = Hall::open(10, 10);
    hall.order(1, 1, &[(VIP, 2)]);
    assert!(matches!(
        hall.place(2, 1, &[(VIP, 1)]),
        Err(Refusal::LimitPerBuyer { .. })
    ));
    hall.order(3, 2, &[(VIP, 2)]);
    hall.wait(HOLD);
    hall.order(4, 1, &[(VIP, 2)]);
}

#[test]
fn a_repeat_gets_the_same_order_and_another_body_is_refused() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 2)]);
    assert_eq!(hall.order(1, 1, &[(GENERAL, 2)]), order);
    assert_eq!(hall.stock(GENERAL), (2, 0, 8));
    assert_eq!(
        hall.place(1, 1, &[(GENERAL, 2), (VIP, 1)]),
        Err(Refusal::KeyReused)
    );
    hall.wait(HOLD);
    assert_eq!(
        hall.place(1, 1, &[(GENERAL, 2)]),
        Ok(Answer::SeeRow {
            order_id: order.id,
            payment_id: None
        })
    );
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn a_payment_turns_the_hold_into_numbered_tickets() {
    let mut hall = Hall::open(10, 10);
    let first = hall.order(1, 1, &[(GENERAL, 2)]);
    let second = hall.order(2, 2, &[(GENERAL, 1), (VIP, 1)]);
    let paid_first = hall.started(10, &second);
    hall.settle(&second, paid_first, PaymentOutcome::Paid, None)
        .expect("paid");
    let paid_second = hall.started(11, &first);
    let decision = hall
        .settle(&first, paid_second, PaymentOutcome::Paid, None)
        .expect("paid");
    let Answer::Order(order) = decision.answer else {
        panic!("no order")
    };
    assert_eq!(order.status, Status::Paid);
    assert_eq!(order.expires_at, None);
    let numbers: Vec<i64> = order.tickets.iter().map(|ticket| ticket.number).collect();
    assert_eq!(numbers, [3, 4], "in the order of payment");
    assert_eq!(hall.stock(GENERAL), (0, 3, 7));
    // Settled again: nothing, with the row as it is now.
    let again = hall.settle(&first, paid_second, PaymentOutcome::Paid, None);
    assert_eq!(again, Err(Refusal::SeeRow));
    let paid_row = row(&first, Status::Paid, Some(paid_second));
    let again = hall
        .settle(&first, paid_second, PaymentOutcome::Paid, Some(paid_row))
        .expect("nothing to do");
    assert_eq!(again.answer, Answer::Nothing);
    assert!(again.facts.is_empty());
}

#[test]
fn a_declined_payment_leaves_the_hold_and_repeats_say_so() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &order);
    assert_eq!(hall.start(11, &order), Err(Refusal::PaymentInProgress));
    assert_eq!(
        hall.started(10, &order),
        payment,
        "a repeat joins its attempt"
    );
    hall.settle(&order, payment, PaymentOutcome::Declined, None)
        .expect("declined");
    assert_eq!(
        hall.start(10, &order),
        Ok(Answer::PaymentDeclined {
            payment_id: payment
        })
    );
    assert_eq!(hall.stock(GENERAL), (1, 0, 9));
    for attempt in 1..MAX_PAYMENT_ATTEMPTS {
        let payment = hall.started(u128::from(20 + attempt), &order);
        hall.settle(&order, payment, PaymentOutcome::Declined, None)
            .expect("declined");
    }
    assert_eq!(hall.start(40, &order), Err(Refusal::TooManyAttempts));
}

#[test]
fn an_old_declined_answer_does_not_end_a_newer_attempt() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let first = hall.started(10, &order);
    hall.settle(&order, first, PaymentOutcome::Declined, None)
        .expect("declined");
    let second = hall.started(11, &order);
    let old = hall
        .settle(&order, first, PaymentOutcome::Declined, None)
        .expect("nothing");
    assert_eq!(old.answer, Answer::Nothing);
    hall.settle(&order, second, PaymentOutcome::Paid, None)
        .expect("paid");
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
}

#[test]
fn an_earlier_attempt_that_was_charged_pays_and_the_open_one_is_watched() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let first = hall.started(10, &order);
    hall.settle(&order, first, PaymentOutcome::Declined, None)
        .expect("declined");
    let second = hall.started(11, &order);
    hall.settle(&order, first, PaymentOutcome::Paid, None)
        .expect("paid");
    let ended = hall.books.ended().next().expect("remembered");
    assert_eq!(ended.open_payment, Some(second));
    hall.settle(&order, second, PaymentOutcome::Paid, None)
        .expect("refund due");
    assert_eq!(refunds_due(&hall.facts), [second]);
    // The provider says it again.
    hall.settle(&order, second, PaymentOutcome::Paid, None)
        .expect("nothing");
    assert_eq!(refunds_due(&hall.facts), [second]);
}

#[test]
fn a_hold_ends_on_time_but_not_while_it_is_being_paid() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let paying = hall.order(2, 2, &[(GENERAL, 1)]);
    hall.started(10, &paying);
    hall.wait(HOLD - Duration::from_micros(1));
    assert_eq!(hall.stock(GENERAL), (2, 0, 8), "none early");
    hall.wait(Duration::from_micros(1));
    assert_eq!(hall.stock(GENERAL), (1, 0, 9));
    assert_eq!(hall.start(11, &order), Err(Refusal::SeeRow));
    hall.wait(PAYMENT_WINDOW + PROVIDER_PATIENCE);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    let ended = hall.books.ended().next().expect("remembered");
    assert_eq!(ended.open_payment, Some(payment_id(paying.id, 1)));
}

#[test]
fn paid_after_expiry_takes_the_seat_again_or_owes_the_money() {
    let mut hall = Hall::open(1, 10);
    let late = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &late);
    hall.wait(HOLD + PAYMENT_WINDOW + PROVIDER_PATIENCE);
    let decision = hall
        .settle(&late, payment, PaymentOutcome::Paid, None)
        .expect("again");
    assert!(matches!(decision.answer, Answer::Order(order) if order.status == Status::Paid));
    assert_eq!(hall.stock(GENERAL), (0, 1, 0));
    let other = payment_id(late.id, 2);
    hall.settle(&late, other, PaymentOutcome::Paid, None)
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [other]);

    let mut hall = Hall::open(1, 10);
    let late = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &late);
    hall.settle(&late, payment, PaymentOutcome::Declined, None)
        .expect("declined");
    hall.wait(HOLD);
    hall.order(2, 2, &[(GENERAL, 1)]);
    let expired = row(&late, Status::Expired, None);
    hall.settle(&late, payment, PaymentOutcome::Paid, Some(expired.clone()))
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [payment]);
    hall.settle(&late, payment, PaymentOutcome::Paid, Some(expired))
        .expect("once");
    assert_eq!(refunds_due(&hall.facts), [payment]);
}

#[test]
fn money_for_a_cancelled_order_always_goes_back_and_is_settled_once() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    hall.wait(HOLD);
    let payment = payment_id(order.id, 1);
    let cancelled = row(&order, Status::Cancelled, None);
    hall.settle(&order, payment, PaymentOutcome::Paid, Some(cancelled))
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [payment]);
    let refund = Command::SettleRefund(SettleRefund {
        command_id: payment,
        event_id: EVENT,
        order_id: order.id,
        payment_id: payment,
    });
    let first = hall.decide(&refund).expect("refunded");
    assert!(matches!(first.facts[..], [Fact::Refunded { .. }]));
    assert!(hall.decide(&refund).expect("once").facts.is_empty());
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn a_row_that_is_behind_the_books_decides_nothing() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    hall.wait(HOLD);
    let behind = row(&order, Status::Reserved, None);
    let payment = payment_id(order.id, 1);
    assert_eq!(
        hall.settle(&order, payment, PaymentOutcome::Paid, Some(behind)),
        Err(Refusal::SeeRow)
    );
}

#[test]
fn a_free_order_is_paid_at_once() {
    let mut hall = Hall::open(10, 10);
    let mut free = inventory(2, 10, 10);
    free.ticket_types[0].price = eur(0);
    assert!(hall.apply(&free));
    let order = hall.order(1, 1, &[(GENERAL, 2)]);
    assert_eq!(order.status, Status::Paid);
    assert_eq!(order.tickets.len(), 2);
    assert_eq!(hall.stock(GENERAL), (0, 2, 8));
    assert_eq!(hall.books.holds().count(), 0);
}

#[test]
fn an_inventory_is_applied_once_and_never_backwards() {
    let mut hall = Hall::open(10, 10);
    hall.order(1, 1, &[(GENERAL, 4)]);
    assert!(hall.apply(&inventory(3, 20, 10)));
    assert!(!hall.apply(&inventory(2, 5, 5)));
    assert_eq!(hall.stock(GENERAL), (4, 0, 16));
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Place {
        key: u8,
        buyer: u8,
        general: i64,
        vip: i64,
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
    Wait {
        seconds: u64,
    },
    Raise {
        general: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 0..6_u8, 0..4_i64, 0..3_i64)
            .prop_map(|(key, buyer, general, vip)| Step::Place { key, buyer, general, vip }),
        3 => (any::<u8>(), 0..20_usize).prop_map(|(key, order)| Step::Start { key, order }),
        4 => (0..20_usize, 1..4_u32, any::<bool>())
            .prop_map(|(order, attempt, paid)| Step::Settle { order, attempt, paid }),
        1 => (0..20_usize, 1..4_u32).prop_map(|(order, attempt)| Step::Refund { order, attempt }),
        2 => (1..900_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0..10_i64).prop_map(|general| Step::Raise { general }),
    ]
}

/// What clients and the provider saw, judged against the books and the facts.
#[derive(Default)]
struct Witness {
    orders: Vec<Arc<Order>>,
    rows: HashMap<Uuid, (Status, Option<Uuid>, i64)>,
    captured: HashMap<Uuid, Money>,
    started: HashSet<Uuid>,
}

impl Witness {
    fn see(&mut self, facts: &[Fact]) {
        for fact in facts {
            let order = match fact {
                Fact::Reserved(order) | Fact::Expired(order) | Fact::Confirmed(order) => order,
                Fact::PaymentFailed(failed) => {
                    if let Some(row) = self.rows.get_mut(&failed.order_id) {
                        assert_eq!(failed.version, row.2 + 1, "versions follow each other");
                        row.2 = failed.version;
                    }
                    continue;
                }
                Fact::RefundDue(_) | Fact::Refunded { .. } => continue,
            };
            let before = self.rows.get(&order.id);
            let legal = matches!(
                (before.map(|row| row.0), order.status),
                (None, Status::Reserved)
                    | (Some(Status::Reserved), Status::Expired)
                    | (Some(Status::Reserved | Status::Expired), Status::Paid)
            );
            assert!(legal, "illegal move {before:?} -> {:?}", order.status);
            let version = before.map_or(0, |row| row.2);
            assert_eq!(order.version, version + 1, "versions follow each other");
            self.rows
                .insert(order.id, (order.status, order.payment_id, order.version));
        }
    }

    fn row(&self, order: &Order) -> Option<OrderRow> {
        let (status, payment_id, version) = *self.rows.get(&order.id)?;
        Some(OrderRow {
            version,
            ..row(order, status, payment_id)
        })
    }
}

fn play(steps: &[Step]) {
    let mut hall = Hall::open(12, 5);
    let mut witness = Witness::default();
    let mut version = 1;
    let mut quantity = 12;
    for (index, step) in steps.iter().enumerate() {
        let seen = hall.facts.len();
        match step {
            Step::Place {
                key,
                buyer,
                general,
                vip,
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
                if let Ok(Answer::Order(order)) = hall.place(command, u128::from(*buyer), &lines)
                    && !witness.orders.iter().any(|known| known.id == order.id)
                {
                    witness.orders.push(order);
                }
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
            Step::Wait { seconds } => hall.wait(Duration::from_secs(*seconds)),
            Step::Raise { general } => {
                version += 1;
                quantity += general;
                hall.apply(&inventory(version, quantity, 5));
            }
        }
        let facts = hall.facts[seen..].to_vec();
        witness.see(&facts);
        judge(&hall, &witness, index);
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
    for fact in &hall.facts {
        if let Fact::Confirmed(order) = fact {
            for ticket in &order.tickets {
                *sold.entry(ticket.ticket_type_id).or_default() += 1;
                assert!(
                    numbers.insert(ticket.number),
                    "ticket number twice at step {index}"
                );
            }
            let payment = order.payment_id.expect("nothing is free here");
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
    let owed = refunds_due(&hall.facts);
    let distinct: HashSet<_> = owed.iter().copied().collect();
    assert_eq!(
        owed.len(),
        distinct.len(),
        "a refund due twice at step {index}"
    );
    for payment in witness.captured.keys() {
        assert!(
            bought.contains(payment) ^ distinct.contains(payment),
            "captured money at step {index} must buy tickets or be owed back, and not both"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_histories_keep_the_sums(steps in proptest::collection::vec(step(), 1..80)) {
        play(&steps);
    }
}
