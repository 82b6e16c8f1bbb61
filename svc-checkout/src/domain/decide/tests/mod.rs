//! The table of what an order can do, row by row, and random histories that must keep the sums.

mod cancelled_event;
mod guests;
pub(crate) mod histories;
mod limits;
mod quantities;
mod releases;
mod repeats;
pub(crate) mod steps;
mod table;
mod vouchers;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use uuid::Uuid;

use super::{Decision, apply_inventory, cancel_stranded, decide, expire_hold};
use crate::domain::books::{Books, Changes, Desk};
use crate::domain::command::{
    Answer, CancelOrder, Command, LowerQuantities, OrderRow, PaymentOutcome, PlaceOrder,
    RefundOrder, Refusal, ReleaseTicket, SettlePayment, StartPayment,
};
use crate::domain::event_book::{Inventory, SaleStatus, TicketTypeOffer};
use crate::domain::fact::{EndReason, Fact};
use crate::domain::order::{Order, Status};
use crate::domain::voucher::{Reduction, VoucherCode, VoucherOffer, WantedVoucher};

const HOLD: Duration = Duration::from_secs(600);
/// So few that a batch leaves some to the next one.
const STRANDED_PER_BATCH: usize = 2;
const EVENT: Uuid = Uuid::from_u128(0xe);
const GENERAL: Uuid = Uuid::from_u128(0xa);
const VIP: Uuid = Uuid::from_u128(0xb);
const ORGANIZER: Uuid = Uuid::from_u128(0xc);

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
        organizer_id: ORGANIZER,
        currency: Currency::EUR,
        ticket_types: vec![
            offer(GENERAL, "general", 2500, general, None),
            offer(VIP, "vip", 9000, vip, Some(2)),
        ],
        attendance_releases_seat: false,
    }
}

/// The event is called off.
fn cancelled(version: i64, general: i64, vip: i64) -> Inventory {
    Inventory {
        status: SaleStatus::Cancelled,
        ..inventory(version, general, vip)
    }
}

/// A box office in memory. Every step is a batch of its own, unless the desk is kept open.
struct Hall {
    books: Books,
    now: Timestamp,
    /// Of decided batches, and of the open one.
    facts: Vec<Fact>,
    /// What the open batch has changed so far; the books do not know it yet.
    open: Changes,
    keeps_desk_open: bool,
    /// What was committed, batch by batch.
    committed: Vec<Changes>,
}

impl Hall {
    fn open(general: i64, vip: i64) -> Self {
        let mut hall = Self {
            books: Books::default(),
            now: Timestamp::from_seconds(1_000_000),
            facts: Vec::new(),
            open: Changes::default(),
            keeps_desk_open: false,
            committed: Vec::new(),
        };
        hall.apply(&inventory(1, general, vip));
        hall
    }

    /// Goes on at the desk of the open batch.
    fn at_desk<T>(&mut self, work: impl FnOnce(&mut Desk<'_>) -> T) -> T {
        let mut desk = Desk::new(&self.books, HOLD);
        desk.changes = std::mem::take(&mut self.open);
        let done = work(&mut desk);
        self.open = desk.changes;
        if !self.keeps_desk_open {
            self.commit();
        }
        done
    }

    /// Ends the open batch.
    fn commit(&mut self) {
        let changes = std::mem::take(&mut self.open);
        if !changes.is_empty() {
            self.committed.push(changes.clone());
            self.books.merge(changes);
        }
    }

    /// A batch begins with inventory.
    fn apply(&mut self, inventory: &Inventory) -> bool {
        self.commit();
        let now = self.now;
        let (changed, facts) = self.at_desk(|desk| {
            let changed = apply_inventory(desk, inventory, now);
            (changed, cancel_stranded(desk, STRANDED_PER_BATCH, now))
        });
        self.facts.extend(facts);
        changed
    }

    /// A batch begins without inventory; returns how many orders it cancelled with their event.
    fn turn(&mut self) -> usize {
        self.commit();
        let now = self.now;
        let facts = self.at_desk(|desk| cancel_stranded(desk, STRANDED_PER_BATCH, now));
        let cancelled = facts.len();
        self.facts.extend(facts);
        cancelled
    }

    fn decide(&mut self, command: &Command) -> Result<Decision, Refusal> {
        let now = self.now;
        let decided = self.at_desk(|desk| {
            let before = desk.changes.clone();
            let decided = decide(desk, command, now);
            if decided.is_err() {
                assert_eq!(
                    desk.changes, before,
                    "a refusal changed something: {command:?}"
                );
            }
            decided
        });
        if let Ok(decision) = &decided {
            self.facts.extend(decision.facts.iter().cloned());
        }
        decided
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now + by;
        let now = self.now;
        let due = self.books.due(now, usize::MAX);
        let facts: Vec<Fact> = self.at_desk(|desk| {
            let due = due.into_iter();
            due.filter_map(|order_id| expire_hold(desk, order_id, now))
                .collect()
        });
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
            voucher: None,
            complimentary: false,
            fingerprint: [u8::try_from(lines.len()).unwrap_or(0); 32],
            not_after: self.now + Duration::from_secs(5),
        })
    }

    fn guest_command(&self, command: u128, guest: u128, ticket_type: Uuid) -> Command {
        match self.place_command(command, guest, &[(ticket_type, 1)]) {
            Command::PlaceOrder(place) => Command::PlaceOrder(PlaceOrder {
                complimentary: true,
                ..place
            }),
            other => other,
        }
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

    fn cancel(&mut self, command: u128, order: &Order) -> Result<Answer, Refusal> {
        let command = Command::CancelOrder(CancelOrder {
            command_id: Uuid::from_u128(command),
            event_id: EVENT,
            order_id: order.id,
            user_id: order.user_id,
            fingerprint: [8; 32],
            not_after: self.now + Duration::from_secs(5),
        });
        self.decide(&command).map(|decision| decision.answer)
    }

    fn refund(&mut self, command: u128, order: &Order, row: OrderRow) -> Result<Answer, Refusal> {
        let command = Command::RefundOrder(RefundOrder {
            command_id: Uuid::from_u128(command),
            event_id: EVENT,
            order_id: order.id,
            user_id: ORGANIZER,
            row,
            fingerprint: [7; 32],
            not_after: self.now + Duration::from_secs(5),
        });
        self.decide(&command).map(|decision| decision.answer)
    }

    fn release(
        &mut self,
        command: u128,
        order: &Order,
        ticket_id: Uuid,
        row: OrderRow,
    ) -> Result<Answer, Refusal> {
        let command = Command::ReleaseTicket(ReleaseTicket {
            command_id: Uuid::from_u128(command),
            event_id: EVENT,
            order_id: order.id,
            ticket_id,
            user_id: order.user_id,
            row,
            fingerprint: [6; 32],
            not_after: self.now + Duration::from_secs(5),
        });
        self.decide(&command).map(|decision| decision.answer)
    }

    /// Asks whether the event's next version may have these quantities.
    fn lower(&mut self, version: i64, quantities: &[(Uuid, i64)]) -> Result<Answer, Refusal> {
        let command = Command::LowerQuantities(LowerQuantities {
            command_id: Uuid::from_u128(0x10e),
            event_id: EVENT,
            version,
            quantities: quantities.to_vec(),
            not_after: self.now + Duration::from_secs(5),
        });
        self.decide(&command).map(|decision| decision.answer)
    }

    /// An order that was paid in time.
    fn paid(&mut self, command: u128, buyer: u128, lines: &[(Uuid, i64)]) -> Arc<Order> {
        let order = self.order(command, buyer, lines);
        let payment = self.started(command + 500, &order);
        let decision = self
            .settle(&order, payment, PaymentOutcome::Paid, None)
            .expect("paid");
        match decision.answer {
            Answer::Order(order) => order,
            other => panic!("not paid: {other:?}"),
        }
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
        voucher: order.voucher.clone(),
        reserved_at: order.reserved_at,
        payment_id,
        updated_at: order.updated_at,
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
