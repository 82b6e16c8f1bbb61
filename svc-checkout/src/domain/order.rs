//! An order and what it holds.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::ids::derived_id;
use platform::money::Money;
use uuid::Uuid;

use super::voucher::UsedVoucher;

/// After the hold has ended a payment that was started in time has this long to come to its end.
pub const PAYMENT_WINDOW: Duration = Duration::from_secs(5 * 60);
/// A provider that cannot be reached this long after the payment window loses the seats; its
/// late answer is then settled like a payment after expiry.
pub const PROVIDER_PATIENCE: Duration = Duration::from_secs(10 * 60);
/// Payment attempts per order.
pub const MAX_PAYMENT_ATTEMPTS: u32 = 5;
/// Lines of one order.
pub const MAX_LINES: usize = 20;
/// Tickets of one line.
pub const MAX_QUANTITY_PER_LINE: i64 = 100;

/// SHA-256 of the body of the request that made something: a repeat must bring the same body.
pub type Fingerprint = [u8; 32];

/// What people see of an order's life. While a payment is open an order is still `Reserved`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Tickets are held, unpaid.
    Reserved,
    /// Paid; tickets are issued.
    Paid,
    /// The hold ended unpaid.
    Expired,
    /// Ended by the buyer or with the event.
    Cancelled,
    /// Paid and paid back.
    Refunded,
}

impl Status {
    /// The name used in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Reserved => "reserved",
            Status::Paid => "paid",
            Status::Expired => "expired",
            Status::Cancelled => "cancelled",
            Status::Refunded => "refunded",
        }
    }

    /// The inverse of [`Status::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [
            Status::Reserved,
            Status::Paid,
            Status::Expired,
            Status::Cancelled,
            Status::Refunded,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
    }
}

/// Tickets of one type in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Ticket type.
    pub ticket_type_id: Uuid,
    /// How many.
    pub quantity: i64,
    /// Price of one, fixed when the hold was made.
    pub unit_price: Money,
    /// `quantity` × `unit_price`.
    pub line_total: Money,
}

impl Line {
    /// So many of the same.
    pub fn of(&self, quantity: i64) -> Self {
        let Money { amount, currency } = self.unit_price;
        Self {
            quantity,
            line_total: Money::new(amount * quantity, currency),
            ..self.clone()
        }
    }
}

/// A ticket that was given back while its order stays paid: it is dead and its seat is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedTicket {
    /// Ticket.
    pub ticket_id: Uuid,
    /// Its type.
    pub ticket_type_id: Uuid,
}

/// One seat, sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// UUIDv5 of the order and the position in it.
    pub id: Uuid,
    /// From 1, gapless per event in the order of payment.
    pub number: i64,
    /// Ticket type.
    pub ticket_type_id: Uuid,
    /// Kind of the type: general, vip, …
    pub kind: Arc<str>,
    /// Price of its line. What a voucher takes off is taken off the order.
    pub price: Money,
    /// Whether it was given back, and is dead. Only its row tells.
    pub released: bool,
}

/// The newest state of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// UUIDv5 of the command that placed it.
    pub id: Uuid,
    /// The event it is for.
    pub event_id: Uuid,
    /// The buyer.
    pub user_id: Uuid,
    /// Grows by one with every record about the order.
    pub version: i64,
    /// Public status.
    pub status: Status,
    /// What is held or sold.
    pub lines: Vec<Line>,
    /// What is to be paid, or was: the lines less the voucher's discount.
    pub total: Money,
    /// Its voucher.
    pub voucher: Option<UsedVoucher>,
    /// When it was placed.
    pub reserved_at: Timestamp,
    /// End of the hold; `None` once it has ended.
    pub expires_at: Option<Timestamp>,
    /// Time of the last decision. Strictly later than the one before: rows are ordered by it.
    pub updated_at: Timestamp,
    /// Issued tickets; empty until paid.
    pub tickets: Vec<Ticket>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// The payment that paid it.
    pub payment_id: Option<Uuid>,
    /// Body of the request that placed it.
    pub fingerprint: Fingerprint,
}

/// Bytes of an order's id that are its event's. 40 bits keep events apart; two that share them share partitions of a
/// table and nothing else. 82 bits are left for the command: among ten million orders of one event two meet with a
/// chance below 1 in a billion, and the second would be refused as a repeat with another body.
const EVENT_BYTES: usize = 5;

impl Order {
    /// The id of the order that `command_id` places, version 8: it begins as the event's id ends, the rest follows
    /// from the command. So the orders of an event lie together in the database (docs/adr/0004).
    pub fn id_of_command(event_id: Uuid, command_id: Uuid) -> Uuid {
        let mut id = derived_id(command_id, &["order"]).into_bytes();
        let event_id = event_id.as_bytes();
        id[..EVENT_BYTES].copy_from_slice(&event_id[event_id.len() - EVENT_BYTES..]);
        uuid::Builder::from_custom_bytes(id).into_uuid()
    }

    /// What its voucher took off.
    pub fn discount(&self) -> Money {
        let used = self.voucher.as_ref();
        used.map_or(Money::zero(self.total.currency), |used| used.discount)
    }

    /// Number for people: `O-` and 10 Crockford base32 characters of the id.
    pub fn number(&self) -> String {
        number_of(self.id)
    }

    /// The id of a payment attempt, counted from 1.
    pub fn payment_id_of_attempt(&self, attempt: u32) -> Uuid {
        payment_id(self.id, attempt)
    }

    /// Whether `payment_id` is one of the order's first `attempts` attempts.
    pub fn owns_payment(&self, payment_id: Uuid, attempts: u32) -> bool {
        (1..=attempts).any(|attempt| self.payment_id_of_attempt(attempt) == payment_id)
    }

    /// The time of the next decision about this order.
    pub fn next_update(&self, now: Timestamp) -> Timestamp {
        next_update(self.updated_at, now)
    }
}

/// The time of the next decision about an order that changed last at `updated_at`: rows are ordered by it, so it is later.
pub fn next_update(updated_at: Timestamp, now: Timestamp) -> Timestamp {
    now.max(updated_at + Duration::from_micros(1))
}

/// UUIDv5 of order and attempt: a retry after a crash charges under the same id.
pub fn payment_id(order_id: Uuid, attempt: u32) -> Uuid {
    derived_id(order_id, &["payment", &attempt.to_string()])
}

/// UUIDv5 of order and place, counted from 1: the tickets of the first line, then those of the next.
pub fn ticket_id(order_id: Uuid, place: i64) -> Uuid {
    derived_id(order_id, &["ticket", &place.to_string()])
}

/// The line of these lines that a ticket of the order is of; `None`: the order has no such ticket.
pub fn line_of_ticket(order_id: Uuid, lines: &[Line], id: Uuid) -> Option<&Line> {
    let mut place = 0;
    let mut is_next = || {
        place += 1;
        ticket_id(order_id, place) == id
    };
    lines
        .iter()
        .find(|line| (0..line.quantity).any(|_| is_next()))
}

/// Number for people of the order with this id.
pub fn number_of(order_id: Uuid) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut bits = order_id.as_u128();
    let mut number = String::from("O-");
    for _ in 0..10 {
        number.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    number
}

/// Stock reserved for an unpaid order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The order, `Reserved`.
    pub order: Arc<Order>,
    /// End of the hold, also while a payment is open.
    pub expires_at: Timestamp,
    /// Payment attempts so far.
    pub attempts: u32,
    /// The last attempt is open: it was started and not settled.
    pub paying: bool,
    /// Hard end of paying, fixed at the first attempt.
    pub payment_deadline: Option<Timestamp>,
}

impl Hold {
    /// When time alone ends this hold.
    pub fn due_at(&self) -> Timestamp {
        match self.payment_deadline {
            Some(deadline) if self.paying => deadline + PROVIDER_PATIENCE,
            _ => self.expires_at,
        }
    }

    /// The open payment attempt.
    pub fn open_payment(&self) -> Option<Uuid> {
        self.paying
            .then(|| self.order.payment_id_of_attempt(self.attempts))
    }
}
