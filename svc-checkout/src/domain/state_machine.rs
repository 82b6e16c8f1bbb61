//! What becomes of an order, as a table: every thing that can happen to it in every state, decided by the rules themselves.
//! docs/STATE_MACHINE.md is what [`table`] says, so it cannot be older than the rules.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use uuid::Uuid;

use super::books::{Books, Desk};
use super::command::{
    Answer, CancelOrder, Command, OrderRow, PaymentOutcome, PlaceOrder, RefundOrder, Refusal,
    ReleaseTicket, SettlePayment, StartPayment,
};
use super::decide::{apply_inventory, cancel_stranded, decide, expire_hold};
use super::event_book::{Inventory, SaleStatus, TicketTypeOffer};
use super::fact::Fact;
use super::order::{Order, PAYMENT_WINDOW, PROVIDER_PATIENCE, payment_id, ticket_id};

const EVENT: Uuid = Uuid::from_u128(0xe);
const TICKET_TYPE: Uuid = Uuid::from_u128(0xa);
const BUYER: Uuid = Uuid::from_u128(0xb);
const HOLD: Duration = Duration::from_secs(600);
const START: Timestamp = Timestamp::from_seconds(1_000_000);

/// A state that an order can be in, and how it got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reserved,
    Paying,
    Paid,
    Expired,
    Cancelled,
    Refunded,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Reserved,
        Self::Paying,
        Self::Paid,
        Self::Expired,
        Self::Cancelled,
        Self::Refunded,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Paying => "paying",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
        }
    }
}

/// Something that can happen to an order.
#[derive(Debug, Clone, Copy)]
enum Happening {
    PlaceAgain,
    PlaceOther,
    Start,
    SettlePaid,
    SettlePaidEarlier,
    SettleDeclined,
    Cancel,
    Refund,
    Release,
    ReleaseAgain,
    HoldEnds,
    PatienceEnds,
    EventCancelled,
}

impl Happening {
    const ALL: [(Self, &'static str); 13] = [
        (Self::PlaceAgain, "PlaceOrder, a repeat"),
        (Self::PlaceOther, "PlaceOrder, its key with another body"),
        (Self::Start, "StartPayment"),
        (Self::SettlePaid, "SettlePayment paid, its last payment"),
        (
            Self::SettlePaidEarlier,
            "SettlePayment paid, an earlier payment that was declined",
        ),
        (
            Self::SettleDeclined,
            "SettlePayment declined, its last payment",
        ),
        (Self::Cancel, "CancelOrder"),
        (Self::Refund, "RefundOrder"),
        (Self::Release, "ReleaseTicket, of one of its two tickets"),
        (Self::ReleaseAgain, "ReleaseTicket, of the same once more"),
        (Self::HoldEnds, "the hold's time is over"),
        (Self::PatienceEnds, "15 minutes after that"),
        (Self::EventCancelled, "the event is cancelled"),
    ];
}

/// The table in Markdown.
pub fn table() -> String {
    let mut text = String::from(
        "# What becomes of an order\n\n\
         Printed by `svc-checkout state-machine` from the rules in `svc-checkout/src/domain/decide`: each field is what they decide. Records are in\n\
         the order in which they are written; → is the state afterwards; – is nothing; *row*: the order has left the books, and the door refuses by its row (`already-paid`,\n\
         `use-refund`, `hold-expired`, `order-cancelled`). *Paying* shows as reserved. The event takes seats back.\n\
         Every order here was tried to pay before, with a card that was declined.\n\n| |",
    );
    for state in State::ALL {
        // Writing to a String cannot fail.
        let _ = write!(text, " {} |", state.name());
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(State::ALL.len()));
    text.push('\n');
    for (happening, name) in Happening::ALL {
        let _ = write!(text, "| {name} |");
        for state in State::ALL {
            let mut stage = Stage::at(state);
            if matches!(happening, Happening::ReleaseAgain) {
                stage.happen(Happening::Release).ok();
            }
            let _ = write!(text, " {} |", stage.told(happening));
        }
        text.push('\n');
    }
    text
}

/// One order of one event in a partition of its own.
struct Stage {
    books: Books,
    now: Timestamp,
    order: Arc<Order>,
    row: OrderRow,
    state: State,
    /// What happened so far: no command is a repeat of another one.
    count: u128,
    /// Payments that were started.
    attempts: u32,
}

impl Stage {
    fn at(state: State) -> Self {
        let mut books = Books::default();
        let mut desk = Desk::new(&books, HOLD);
        apply_inventory(&mut desk, &inventory(1, SaleStatus::Published), START);
        let placed = decide(&mut desk, &place([0; 32]), START);
        let order = match placed.map(|decision| decision.answer) {
            Ok(Answer::Order(order)) => order,
            other => unreachable!("an empty house has room: {other:?}"),
        };
        let changes = desk.changes;
        books.merge(changes);
        let mut stage = Self {
            books,
            now: START,
            row: OrderRow::from((*order).clone()),
            order,
            state: State::Reserved,
            count: 1,
            attempts: 0,
        };
        for happening in way_to(state) {
            stage.happen(happening).ok();
        }
        debug_assert_eq!(stage.state, state);
        stage
    }

    /// What happens, in words.
    fn told(&mut self, happening: Happening) -> String {
        let before = self.state;
        match self.happen(happening) {
            Err(Refusal::SeeRow) => "*row*".to_owned(),
            Err(refusal) => format!("`{}`", code(refusal)),
            Ok(facts) if facts.is_empty() && self.state == before => "–".to_owned(),
            Ok(facts) => {
                let names: Vec<&str> = facts.iter().map(name).collect();
                let names = names.join(", ");
                match self.state == before {
                    true => names,
                    false => format!("{names} → {}", self.state.name()).trim().to_owned(),
                }
            }
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<Vec<Fact>, Refusal> {
        self.count += 1;
        let mut desk = Desk::new(&self.books, HOLD);
        let decided = match happening {
            Happening::HoldEnds | Happening::PatienceEnds => {
                self.now = START + HOLD;
                if matches!(happening, Happening::PatienceEnds) {
                    self.now = self.now + PAYMENT_WINDOW + PROVIDER_PATIENCE;
                }
                Ok(expire_hold(&mut desk, self.order.id, self.now)
                    .into_iter()
                    .collect())
            }
            Happening::EventCancelled => {
                apply_inventory(&mut desk, &inventory(2, SaleStatus::Cancelled), self.now);
                Ok(cancel_stranded(&mut desk, 1, self.now))
            }
            command => {
                let command = self.command(command);
                decide(&mut desk, &command, self.now).map(|decision| decision.facts)
            }
        };
        let changes = desk.changes;
        self.books.merge(changes);
        let facts = decided?;
        if matches!(happening, Happening::Start) {
            self.attempts += 1;
        }
        self.follow(&facts);
        Ok(facts)
    }

    fn command(&self, happening: Happening) -> Command {
        let event_id = EVENT;
        let order_id = self.order.id;
        let not_after = self.now;
        let command_id = Uuid::from_u128(self.count);
        match happening {
            Happening::PlaceAgain => place([0; 32]),
            Happening::PlaceOther => place([1; 32]),
            Happening::Start => Command::StartPayment(StartPayment {
                command_id,
                event_id,
                order_id,
                user_id: BUYER,
                fingerprint: [0; 32],
                not_after,
            }),
            Happening::Cancel => Command::CancelOrder(CancelOrder {
                command_id,
                event_id,
                order_id,
                user_id: BUYER,
                fingerprint: [0; 32],
                not_after,
            }),
            Happening::Refund => Command::RefundOrder(RefundOrder {
                command_id,
                event_id,
                order_id,
                user_id: BUYER,
                row: self.row.clone(),
                fingerprint: [0; 32],
                not_after,
            }),
            Happening::Release | Happening::ReleaseAgain => Command::ReleaseTicket(ReleaseTicket {
                command_id,
                event_id,
                order_id,
                ticket_id: ticket_id(order_id, 1),
                user_id: BUYER,
                row: self.row.clone(),
                fingerprint: [0; 32],
                not_after,
            }),
            Happening::SettlePaid => self.settle(self.attempts, PaymentOutcome::Paid),
            Happening::SettlePaidEarlier => self.settle(1, PaymentOutcome::Paid),
            _ => self.settle(self.attempts, PaymentOutcome::Declined),
        }
    }

    fn settle(&self, attempt: u32, outcome: PaymentOutcome) -> Command {
        let payment_id = payment_id(self.order.id, attempt);
        Command::SettlePayment(SettlePayment {
            command_id: payment_id,
            event_id: EVENT,
            order_id: self.order.id,
            payment_id,
            outcome,
            amount: self.order.total,
            row: Some(self.row.clone()),
        })
    }

    /// Keeps the row as the projection would, and the state as the books have it.
    fn follow(&mut self, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Reserved(order)
                | Fact::Expired(order)
                | Fact::Cancelled { order, .. }
                | Fact::Confirmed(order) => self.row = OrderRow::from((**order).clone()),
                Fact::Refunded(order) => {
                    self.row.status = super::order::Status::Refunded;
                    self.row.version = order.version;
                }
                Fact::Released(released) => self.row.version = released.version,
                Fact::PaymentFailed(failed) => self.row.version = failed.version,
                Fact::RefundDue(_) | Fact::RefundMade { .. } => {}
            }
        }
        let hold = self
            .books
            .holds()
            .find(|hold| hold.order.id == self.order.id);
        self.state = match hold {
            Some(hold) if hold.paying => State::Paying,
            Some(_) => State::Reserved,
            None => match self.row.status {
                super::order::Status::Reserved => State::Reserved,
                super::order::Status::Paid => State::Paid,
                super::order::Status::Expired => State::Expired,
                super::order::Status::Cancelled => State::Cancelled,
                super::order::Status::Refunded => State::Refunded,
            },
        };
    }
}

/// Every order has been tried to pay before, with a card that was declined.
fn way_to(state: State) -> Vec<Happening> {
    use Happening::{Cancel, HoldEnds, Refund, SettleDeclined, SettlePaid, Start};
    let mut way = vec![Start, SettleDeclined, Start];
    way.extend_from_slice(match state {
        State::Reserved => &[SettleDeclined],
        State::Paying => &[],
        State::Paid => &[SettlePaid],
        State::Expired => &[SettleDeclined, HoldEnds],
        State::Cancelled => &[SettleDeclined, Cancel],
        State::Refunded => &[SettlePaid, Refund],
    });
    way
}

fn place(fingerprint: [u8; 32]) -> Command {
    Command::PlaceOrder(PlaceOrder {
        command_id: Uuid::from_u128(1),
        event_id: EVENT,
        user_id: BUYER,
        lines: vec![(TICKET_TYPE, 2)],
        voucher: None,
        complimentary: false,
        fingerprint,
        not_after: Timestamp::MAX,
    })
}

fn inventory(version: i64, status: SaleStatus) -> Inventory {
    Inventory {
        event_id: EVENT,
        version,
        status,
        organizer_id: Uuid::from_u128(0xc),
        currency: Currency::EUR,
        ticket_types: vec![TicketTypeOffer {
            id: TICKET_TYPE,
            kind: Arc::from("general"),
            price: Money::new(2_500, Currency::EUR),
            quantity: 10,
            max_per_buyer: None,
            sale_starts_at: None,
            sale_ends_at: None,
        }],
        attendance_releases_seat: true,
    }
}

/// As the records are called.
fn name(fact: &Fact) -> &'static str {
    match fact {
        Fact::Reserved(_) => "OrderReserved",
        Fact::Expired(_) => "OrderExpired",
        Fact::Cancelled { .. } => "OrderCancelled",
        Fact::Confirmed(_) => "PaymentConfirmed",
        Fact::Refunded(_) => "OrderRefunded",
        Fact::Released(_) => "TicketReleased",
        Fact::PaymentFailed(_) => "PaymentFailed",
        Fact::RefundDue(_) => "PaymentRefundDue",
        Fact::RefundMade { .. } => "PaymentRefunded",
    }
}

/// As the API calls it: `PaymentInProgress` is `payment-in-progress`.
fn code(refusal: Refusal) -> String {
    let refusal = match refusal {
        Refusal::KeyReused => return "idempotency-key-reused".to_owned(),
        other => format!("{other:?}"),
    };
    let mut code = String::new();
    for letter in refusal.chars().take_while(char::is_ascii_alphabetic) {
        if letter.is_ascii_uppercase() && !code.is_empty() {
            code.push('-');
        }
        code.push(letter.to_ascii_lowercase());
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_reached_on_its_way() {
        for state in State::ALL {
            assert_eq!(Stage::at(state).state, state);
        }
    }
}
