//! The records of checkout.state: every entity of the books under a key of its own.

use std::sync::Arc;

use platform::avro::{Datum, DecodeError};
use platform::clock::Timestamp;
use schemas::Record as _;
use schemas::checkout as record;
use uuid::Uuid;

use super::records::{
    RecordError, fingerprint_in, lines_in, lines_out, money_in, money_out, refund_in,
    sale_status_in, sale_status_out,
};
use super::voucher_records::{parse_state_key, used_in, used_out, uses_in};
use crate::domain::books::{BuyerCount, BuyerKey, CommandEffect};
use crate::domain::ended_order::EndedOrder;
use crate::domain::event_book::{EventBook, QuantityCap, TicketTypeBook};
use crate::domain::fact::RefundOwed;
use crate::domain::order::{Hold, Order, ReleasedTicket, Status};
use crate::domain::voucher::VoucherKey;

/// Key of the partition's position.
pub const POSITION_KEY: &str = "position";
/// Key prefix of batches of remembered commands.
pub const COMMANDS_PREFIX: &str = "commands/";

/// Why a record of the state cannot be read. The partition is not taken over then.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not our Avro.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Impossible content.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A key that no version wrote.
    #[error("unknown key {0:?}")]
    Key(String),
    /// A record name that this version does not know: an older version must not take over.
    #[error("unknown record {0}")]
    Unknown(&'static str),
    /// It breaks who reads it.
    #[error("reading it panicked")]
    Panicked,
}

/// One entity of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entity {
    /// Where the partition stands.
    Position(record::PartitionPosition),
    /// An event's book.
    Event(EventBook),
    /// An open hold.
    Hold(Hold),
    /// A limited buyer.
    Buyer(BuyerKey, BuyerCount),
    /// Uses of a voucher.
    Voucher(VoucherKey, i64),
    /// Commands of one batch with their effects.
    Commands(Timestamp, Vec<(Uuid, CommandEffect)>),
    /// A refund to make.
    Refund(RefundOwed),
    /// An ended order.
    Ended(EndedOrder),
}

/// What a key names, for tombstones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// An open hold.
    Hold(Uuid),
    /// A limited buyer.
    Buyer(BuyerKey),
    /// Uses of a voucher.
    Voucher(VoucherKey),
    /// A batch of commands, under its whole key.
    Commands(String),
    /// A refund.
    Refund(Uuid),
    /// An ended order.
    Ended(Uuid),
    /// Never deleted.
    Permanent,
}

/// Key of an event's book.
pub fn event_key(id: Uuid) -> String {
    format!("event/{id}")
}
/// Key of a hold.
pub fn hold_key(order_id: Uuid) -> String {
    format!("hold/{order_id}")
}
/// Key of a limited buyer.
pub fn buyer_key((event_id, user_id): BuyerKey) -> String {
    format!("buyer/{event_id}/{user_id}")
}
/// Key of the commands of the batch that began at `offset`.
pub fn commands_key(offset: i64) -> String {
    format!("{COMMANDS_PREFIX}{offset}")
}
/// Key of a refund.
pub fn refund_key(payment_id: Uuid) -> String {
    format!("refund/{payment_id}")
}
/// Key of an ended order.
pub fn ended_key(order_id: Uuid) -> String {
    format!("ended/{order_id}")
}

/// What a key names.
pub fn parse_key(key: &str) -> Result<Key, StateError> {
    let unknown = || StateError::Key(key.to_owned());
    let id = |text: &str| Uuid::parse_str(text).map_err(|_| unknown());
    match key.split_once('/') {
        Some(("hold", rest)) => Ok(Key::Hold(id(rest)?)),
        Some(("buyer", rest)) => {
            let (event_id, user_id) = rest.split_once('/').ok_or_else(unknown)?;
            Ok(Key::Buyer((id(event_id)?, id(user_id)?)))
        }
        Some(("voucher", rest)) => Ok(Key::Voucher(parse_state_key(rest).ok_or_else(unknown)?)),
        Some(("commands", _)) => Ok(Key::Commands(key.to_owned())),
        Some(("refund", rest)) => Ok(Key::Refund(id(rest)?)),
        Some(("ended", rest)) => Ok(Key::Ended(id(rest)?)),
        Some(("event", _)) => Ok(Key::Permanent),
        None if key == POSITION_KEY => Ok(Key::Permanent),
        _ => Err(unknown()),
    }
}

/// Reads one entity.
pub fn entity_in(datum: &Datum<'_>) -> Result<Entity, StateError> {
    match datum.name() {
        record::PartitionPosition::NAME => Ok(Entity::Position(datum.read()?)),
        record::EventBook::NAME => Ok(Entity::Event(event_in(&datum.read()?)?)),
        record::OpenHold::NAME => Ok(Entity::Hold(hold_in(&datum.read()?)?)),
        record::BuyerCount::NAME => {
            let read: record::BuyerCount = datum.read()?;
            let counts = read
                .counts
                .iter()
                .map(|count| (count.ticket_type_id, count.count))
                .collect();
            Ok(Entity::Buyer(
                (read.event_id, read.user_id),
                BuyerCount { counts },
            ))
        }
        record::VoucherUses::NAME => {
            let (key, uses) = uses_in(&datum.read()?)?;
            Ok(Entity::Voucher(key, uses))
        }
        record::RecentCommands::NAME => {
            let read: record::RecentCommands = datum.read()?;
            let effects = read
                .effects
                .iter()
                .map(|effect| {
                    Ok((
                        effect.command_id,
                        CommandEffect {
                            order_id: effect.order_id,
                            attempt: u32::try_from(effect.attempt).unwrap_or(0),
                            fingerprint: fingerprint_in(&effect.fingerprint)?,
                        },
                    ))
                })
                .collect::<Result<_, RecordError>>()?;
            Ok(Entity::Commands(Timestamp::from_micros(read.at), effects))
        }
        record::RefundOwed::NAME => Ok(Entity::Refund(refund_in(&datum.read()?)?)),
        record::EndedOrder::NAME => Ok(Entity::Ended(ended_in(&datum.read()?)?)),
        other => Err(StateError::Unknown(other)),
    }
}

/// Writes an event's book.
pub fn event_out(book: &EventBook) -> record::EventBook {
    record::EventBook {
        event_id: book.id,
        inventory_version: book.inventory_version,
        status: sale_status_out(book.status),
        organizer_id: book.organizer_id,
        currency: book.currency.to_string(),
        stock_version: book.stock_version,
        tickets_issued: book.tickets_issued,
        ticket_types: book
            .ticket_types
            .iter()
            .map(|ticket_type| record::TicketTypeBook {
                ticket_type_id: ticket_type.id,
                kind: ticket_type.kind.to_string(),
                price: money_out(ticket_type.price),
                quantity: ticket_type.quantity,
                held: ticket_type.held,
                sold: ticket_type.sold,
                max_per_buyer: ticket_type.max_per_buyer,
                counted_since: ticket_type.counted_since.map(Timestamp::as_micros),
                sale_starts_at: ticket_type.sale_starts_at.map(Timestamp::as_micros),
                sale_ends_at: ticket_type.sale_ends_at.map(Timestamp::as_micros),
            })
            .collect(),
        first_order_at: book.first_order_at.map(Timestamp::as_micros),
        caps: caps_out(&book.caps),
        attendance_releases_seat: book.attendance_releases_seat.then_some(true),
        released: Some(book.released).filter(|released| *released != 0),
    }
}

fn caps_out(caps: &[QuantityCap]) -> Option<Vec<record::QuantityCap>> {
    let caps = caps.iter().map(|cap| record::QuantityCap {
        version: cap.version,
        ticket_type_id: cap.ticket_type_id,
        quantity: cap.quantity,
    });
    Some(caps.collect::<Vec<_>>()).filter(|caps| !caps.is_empty())
}

fn caps_in(caps: Option<&[record::QuantityCap]>) -> Vec<QuantityCap> {
    let caps = caps.into_iter().flatten().map(|cap| QuantityCap {
        version: cap.version,
        ticket_type_id: cap.ticket_type_id,
        quantity: cap.quantity,
    });
    caps.collect()
}

fn event_in(book: &record::EventBook) -> Result<EventBook, RecordError> {
    let ticket_types: Vec<_> = book
        .ticket_types
        .iter()
        .map(|ticket_type| {
            Ok(TicketTypeBook {
                id: ticket_type.ticket_type_id,
                kind: Arc::from(ticket_type.kind.as_str()),
                price: money_in(&ticket_type.price)?,
                quantity: ticket_type.quantity,
                held: ticket_type.held,
                sold: ticket_type.sold,
                max_per_buyer: ticket_type.max_per_buyer,
                // A limit from before this was kept has counted from the beginning.
                counted_since: ticket_type
                    .counted_since
                    .or(ticket_type.max_per_buyer.map(|_| 0))
                    .map(Timestamp::from_micros),
                sale_starts_at: ticket_type.sale_starts_at.map(Timestamp::from_micros),
                sale_ends_at: ticket_type.sale_ends_at.map(Timestamp::from_micros),
            })
        })
        .collect::<Result<_, RecordError>>()?;
    let currency = money_in(&schemas::Money {
        amount: 0,
        currency: book.currency.clone(),
    })?
    .currency;
    Ok(EventBook {
        id: book.event_id,
        inventory_version: book.inventory_version,
        status: sale_status_in(book.status),
        organizer_id: book.organizer_id,
        currency,
        stock_version: book.stock_version,
        tickets_issued: book.tickets_issued,
        ticket_types,
        first_order_at: book.first_order_at.map(Timestamp::from_micros),
        caps: caps_in(book.caps.as_deref()),
        attendance_releases_seat: book.attendance_releases_seat.unwrap_or(false),
        released: book.released.unwrap_or(0),
    })
}

/// The live stock of an event.
pub fn stock_out(book: &EventBook, at: Timestamp) -> record::StockLevel {
    record::StockLevel {
        event_id: book.id,
        version: book.stock_version,
        ticket_types: book
            .ticket_types
            .iter()
            .map(|ticket_type| record::TicketTypeStock {
                ticket_type_id: ticket_type.id,
                quantity: ticket_type.quantity,
                held: ticket_type.held,
                sold: ticket_type.sold,
                free: ticket_type.free(),
            })
            .collect(),
        at: at.as_micros(),
    }
}

/// Writes a hold.
pub fn hold_out(hold: &Hold) -> record::OpenHold {
    let order = &hold.order;
    record::OpenHold {
        order_id: order.id,
        event_id: order.event_id,
        user_id: order.user_id,
        version: order.version,
        lines: lines_out(&order.lines),
        total: money_out(order.total),
        voucher: used_out(order.voucher.as_ref()),
        reserved_at: order.reserved_at.as_micros(),
        expires_at: hold.expires_at.as_micros(),
        updated_at: order.updated_at.as_micros(),
        attempts: i64::from(hold.attempts),
        paying: hold.paying,
        payment_deadline: hold.payment_deadline.map(Timestamp::as_micros),
        fingerprint: order.fingerprint.to_vec(),
    }
}

fn hold_in(hold: &record::OpenHold) -> Result<Hold, RecordError> {
    let expires_at = Timestamp::from_micros(hold.expires_at);
    Ok(Hold {
        order: Arc::new(Order {
            id: hold.order_id,
            event_id: hold.event_id,
            user_id: hold.user_id,
            version: hold.version,
            status: Status::Reserved,
            lines: lines_in(&hold.lines)?,
            total: money_in(&hold.total)?,
            voucher: used_in(hold.voucher.as_ref())?,
            reserved_at: Timestamp::from_micros(hold.reserved_at),
            expires_at: Some(expires_at),
            updated_at: Timestamp::from_micros(hold.updated_at),
            tickets: Vec::new(),
            paid_at: None,
            payment_id: None,
            fingerprint: fingerprint_in(&hold.fingerprint)?,
        }),
        expires_at,
        attempts: u32::try_from(hold.attempts).unwrap_or(u32::MAX),
        paying: hold.paying,
        payment_deadline: hold.payment_deadline.map(Timestamp::from_micros),
    })
}

/// Writes a buyer's counts.
pub fn buyer_out((event_id, user_id): BuyerKey, count: &BuyerCount) -> record::BuyerCount {
    record::BuyerCount {
        event_id,
        user_id,
        counts: count
            .counts
            .iter()
            .map(|&(ticket_type_id, count)| record::TypeCount {
                ticket_type_id,
                count,
            })
            .collect(),
    }
}

/// Writes the commands of a batch.
pub fn commands_out<'a>(
    effects: impl Iterator<Item = (&'a Uuid, &'a CommandEffect)>,
    at: Timestamp,
) -> record::RecentCommands {
    record::RecentCommands {
        at: at.as_micros(),
        effects: effects
            .map(|(command_id, effect)| record::CommandEffect {
                command_id: *command_id,
                order_id: effect.order_id,
                attempt: i64::from(effect.attempt),
                fingerprint: effect.fingerprint.to_vec(),
            })
            .collect(),
    }
}

/// Writes a refund.
pub fn refund_out(owed: &RefundOwed) -> record::RefundOwed {
    record::RefundOwed {
        payment_id: owed.payment_id,
        order_id: owed.order_id,
        event_id: owed.event_id,
        amount: money_out(owed.amount),
        due_at: owed.due_at.as_micros(),
    }
}

/// Writes an ended order.
pub fn ended_out(ended: &EndedOrder) -> record::EndedOrder {
    record::EndedOrder {
        order_id: ended.order_id,
        event_id: ended.event_id,
        user_id: ended.user_id,
        paid_by: ended.paid_by,
        version: ended.version,
        lines: lines_out(&ended.lines),
        total: money_out(ended.total),
        voucher: used_out(ended.voucher.as_ref()),
        reserved_at: ended.reserved_at.as_micros(),
        settled: ended.settled.clone(),
        open_payment: ended.open_payment,
        refunded: ended.refunded,
        released: released_out(&ended.released),
    }
}

fn released_out(released: &[ReleasedTicket]) -> Option<Vec<record::ReleasedTicket>> {
    let released = released.iter().map(|ticket| record::ReleasedTicket {
        ticket_id: ticket.ticket_id,
        ticket_type_id: ticket.ticket_type_id,
    });
    Some(released.collect::<Vec<_>>()).filter(|released| !released.is_empty())
}

fn released_in(released: Option<&[record::ReleasedTicket]>) -> Vec<ReleasedTicket> {
    let released = released.into_iter().flatten().map(|ticket| ReleasedTicket {
        ticket_id: ticket.ticket_id,
        ticket_type_id: ticket.ticket_type_id,
    });
    released.collect()
}

fn ended_in(ended: &record::EndedOrder) -> Result<EndedOrder, RecordError> {
    Ok(EndedOrder {
        order_id: ended.order_id,
        event_id: ended.event_id,
        user_id: ended.user_id,
        version: ended.version,
        lines: lines_in(&ended.lines)?,
        total: money_in(&ended.total)?,
        voucher: used_in(ended.voucher.as_ref())?,
        reserved_at: Timestamp::from_micros(ended.reserved_at),
        paid_by: ended.paid_by,
        settled: ended.settled.clone(),
        open_payment: ended.open_payment,
        refunded: ended.refunded,
        released: released_in(ended.released.as_deref()),
    })
}

#[cfg(test)]
mod tests;
