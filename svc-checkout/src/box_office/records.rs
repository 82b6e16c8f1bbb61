//! Between the domain and the records of the topics, both ways.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::money::{Currency, CurrencyError, Money};
use schemas::catalog::{EventInventory, EventStatus};
use schemas::checkout as record;
use uuid::Uuid;

use super::voucher_records::{used_in, used_out};
use crate::domain::event_book::{Inventory, SaleStatus, TicketTypeOffer};
use crate::domain::fact::{
    EndReason, Fact, PaymentFailed, RefundOwed, RefundedOrder, TicketReleased,
};
use crate::domain::order::{Fingerprint, Line, Order, ReleasedTicket, Status, Ticket, number_of};

/// A record that decodes and still says something impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: {problem}")]
pub struct RecordError {
    field: &'static str,
    problem: String,
}

pub(super) fn bad(field: &'static str, problem: impl Into<String>) -> RecordError {
    RecordError {
        field,
        problem: problem.into(),
    }
}

pub(super) fn money_out(money: Money) -> schemas::Money {
    schemas::Money {
        amount: money.amount,
        currency: money.currency.to_string(),
    }
}

pub(super) fn money_in(money: &schemas::Money) -> Result<Money, RecordError> {
    let currency: Currency = money
        .currency
        .parse()
        .map_err(|e: CurrencyError| bad("currency", e.to_string()))?;
    Ok(Money {
        amount: money.amount,
        currency,
    })
}

pub(super) fn lines_out(lines: &[Line]) -> Vec<record::OrderLine> {
    lines
        .iter()
        .map(|line| record::OrderLine {
            ticket_type_id: line.ticket_type_id,
            quantity: line.quantity,
            unit_price: money_out(line.unit_price),
            line_total: money_out(line.line_total),
        })
        .collect()
}

pub(super) fn lines_in(lines: &[record::OrderLine]) -> Result<Vec<Line>, RecordError> {
    lines
        .iter()
        .map(|line| {
            Ok(Line {
                ticket_type_id: line.ticket_type_id,
                quantity: line.quantity,
                unit_price: money_in(&line.unit_price)?,
                line_total: money_in(&line.line_total)?,
            })
        })
        .collect()
}

pub(super) fn fingerprint_in(bytes: &[u8]) -> Result<Fingerprint, RecordError> {
    bytes
        .try_into()
        .map_err(|_| bad("fingerprint", "32 bytes expected"))
}

fn ticket_out(ticket: &Ticket) -> record::IssuedTicket {
    record::IssuedTicket {
        ticket_id: ticket.id,
        number: ticket.number,
        ticket_type_id: ticket.ticket_type_id,
        kind: ticket.kind.to_string(),
        price: money_out(ticket.price),
    }
}

fn ticket_in(ticket: &record::IssuedTicket) -> Result<Ticket, RecordError> {
    Ok(Ticket {
        id: ticket.ticket_id,
        number: ticket.number,
        ticket_type_id: ticket.ticket_type_id,
        kind: Arc::from(ticket.kind.as_str()),
        price: money_in(&ticket.price)?,
        released: false,
    })
}

pub(super) fn sale_status_in(status: EventStatus) -> SaleStatus {
    match status {
        EventStatus::Published => SaleStatus::Published,
        EventStatus::Cancelled => SaleStatus::Cancelled,
        EventStatus::Archived => SaleStatus::Archived,
        // A status that this version does not know does not sell.
        EventStatus::Draft | EventStatus::Unknown => SaleStatus::Draft,
    }
}

pub(super) fn sale_status_out(status: SaleStatus) -> EventStatus {
    match status {
        SaleStatus::Draft => EventStatus::Draft,
        SaleStatus::Published => EventStatus::Published,
        SaleStatus::Cancelled => EventStatus::Cancelled,
        SaleStatus::Archived => EventStatus::Archived,
    }
}

fn end_reason_out(reason: EndReason) -> record::EndReason {
    match reason {
        EndReason::Asked => record::EndReason::Asked,
        EndReason::EventCancelled => record::EndReason::EventCancelled,
    }
}

fn end_reason_in(reason: record::EndReason) -> Option<EndReason> {
    match reason {
        record::EndReason::Asked => Some(EndReason::Asked),
        record::EndReason::EventCancelled => Some(EndReason::EventCancelled),
        // A reason that this version does not know changes nothing about the end.
        record::EndReason::Unknown => None,
    }
}

/// Reads an inventory record.
pub fn inventory_in(inventory: &EventInventory) -> Result<Inventory, RecordError> {
    let ticket_types = inventory
        .ticket_types
        .iter()
        .map(|offer| {
            Ok(TicketTypeOffer {
                id: offer.ticket_type_id,
                kind: Arc::from(offer.kind.as_str()),
                price: money_in(&offer.price)?,
                quantity: offer.quantity,
                max_per_buyer: offer.max_per_buyer,
                sale_starts_at: offer.sale_starts_at.map(Timestamp::from_micros),
                sale_ends_at: offer.sale_ends_at.map(Timestamp::from_micros),
            })
        })
        .collect::<Result<_, RecordError>>()?;
    Ok(Inventory {
        event_id: inventory.event_id,
        version: inventory.version,
        status: sale_status_in(inventory.status),
        organizer_id: inventory.organizer_id,
        currency: inventory
            .currency
            .parse()
            .map_err(|e: CurrencyError| bad("currency", e.to_string()))?,
        ticket_types,
        attendance_releases_seat: inventory.attendance_releases_seat.unwrap_or(false),
    })
}

/// A fact as one of its records.
pub enum FactRecord {
    /// On checkout.orders.
    Reserved(record::OrderReserved),
    /// On checkout.orders.
    Expired(record::OrderExpired),
    /// On checkout.orders.
    Cancelled(record::OrderCancelled),
    /// On checkout.orders.
    Refunded(record::OrderRefunded),
    /// On checkout.orders.
    Released(record::TicketReleased),
    /// On checkout.payments.
    Confirmed(record::PaymentConfirmed),
    /// On checkout.payments.
    PaymentFailed(record::PaymentFailed),
    /// On checkout.payments.
    RefundDue(record::PaymentRefundDue),
    /// On checkout.payments.
    RefundMade(record::PaymentRefunded),
}

/// Writes a fact as its record.
pub fn fact_out(fact: &Fact) -> FactRecord {
    match fact {
        Fact::Reserved(order) => FactRecord::Reserved(record::OrderReserved {
            order_id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            version: order.version,
            number: order.number(),
            lines: lines_out(&order.lines),
            total: money_out(order.total),
            voucher: used_out(order.voucher.as_ref()),
            expires_at: order.expires_at.unwrap_or(order.reserved_at).as_micros(),
            reserved_at: order.reserved_at.as_micros(),
            fingerprint: order.fingerprint.to_vec(),
        }),
        Fact::Expired(order) => FactRecord::Expired(record::OrderExpired {
            order_id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            version: order.version,
            lines: lines_out(&order.lines),
            total: money_out(order.total),
            voucher: used_out(order.voucher.as_ref()),
            reserved_at: order.reserved_at.as_micros(),
            expired_at: order.updated_at.as_micros(),
        }),
        Fact::Cancelled {
            order,
            reason,
            payment_id,
        } => FactRecord::Cancelled(record::OrderCancelled {
            order_id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            version: order.version,
            lines: lines_out(&order.lines),
            total: money_out(order.total),
            voucher: used_out(order.voucher.as_ref()),
            reserved_at: order.reserved_at.as_micros(),
            cancelled_at: order.updated_at.as_micros(),
            number: Some(order.number()),
            reason: reason.map(end_reason_out),
            payment_id: *payment_id,
        }),
        Fact::Refunded(order) => FactRecord::Refunded(record::OrderRefunded {
            order_id: order.order_id,
            event_id: order.event_id,
            user_id: order.user_id,
            version: order.version,
            lines: lines_out(&order.lines),
            total: money_out(order.total),
            voucher: used_out(order.voucher.as_ref()),
            reserved_at: order.reserved_at.as_micros(),
            payment_id: order.payment_id,
            refunded_at: order.at.as_micros(),
            number: Some(number_of(order.order_id)),
            reason: order.reason.map(end_reason_out),
        }),
        Fact::Released(released) => FactRecord::Released(record::TicketReleased {
            order_id: released.order_id,
            event_id: released.event_id,
            user_id: released.user_id,
            version: released.version,
            ticket_id: released.ticket.ticket_id,
            ticket_type_id: released.ticket.ticket_type_id,
            released_at: released.at.as_micros(),
        }),
        Fact::Confirmed(order) => FactRecord::Confirmed(record::PaymentConfirmed {
            order_id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            version: order.version,
            number: number_of(order.id),
            // A free order has no payment; its record bears the nil id.
            payment_id: order.payment_id.unwrap_or(Uuid::nil()),
            lines: lines_out(&order.lines),
            tickets: order.tickets.iter().map(ticket_out).collect(),
            total: money_out(order.total),
            voucher: used_out(order.voucher.as_ref()),
            reserved_at: order.reserved_at.as_micros(),
            confirmed_at: order.updated_at.as_micros(),
        }),
        Fact::PaymentFailed(failed) => FactRecord::PaymentFailed(record::PaymentFailed {
            order_id: failed.order_id,
            event_id: failed.event_id,
            user_id: failed.user_id,
            version: failed.version,
            payment_id: failed.payment_id,
            attempt: i64::from(failed.attempt),
            failed_at: failed.at.as_micros(),
        }),
        Fact::RefundDue(owed) => FactRecord::RefundDue(record::PaymentRefundDue {
            order_id: owed.order_id,
            event_id: owed.event_id,
            payment_id: owed.payment_id,
            amount: money_out(owed.amount),
            due_at: owed.due_at.as_micros(),
        }),
        Fact::RefundMade { owed, at } => FactRecord::RefundMade(record::PaymentRefunded {
            order_id: owed.order_id,
            event_id: owed.event_id,
            payment_id: owed.payment_id,
            amount: money_out(owed.amount),
            refunded_at: at.as_micros(),
        }),
    }
}

/// Reads a fact that the projection has to write; what is paid back has no row.
pub fn fact_in(record: FactRecord) -> Result<Option<Fact>, RecordError> {
    Ok(Some(match record {
        FactRecord::Reserved(record) => Fact::Reserved(Arc::new(Order {
            expires_at: Some(Timestamp::from_micros(record.expires_at)),
            fingerprint: fingerprint_in(&record.fingerprint)?,
            ..unpaid(
                [record.order_id, record.event_id, record.user_id],
                record.version,
                (&record.lines, &record.total, record.voucher.as_ref()),
                record.reserved_at,
            )?
        })),
        FactRecord::Expired(record) => Fact::Expired(Arc::new(Order {
            status: Status::Expired,
            updated_at: Timestamp::from_micros(record.expired_at),
            ..unpaid(
                [record.order_id, record.event_id, record.user_id],
                record.version,
                (&record.lines, &record.total, record.voucher.as_ref()),
                record.reserved_at,
            )?
        })),
        FactRecord::Cancelled(record) => Fact::Cancelled {
            order: Arc::new(Order {
                status: Status::Cancelled,
                updated_at: Timestamp::from_micros(record.cancelled_at),
                ..unpaid(
                    [record.order_id, record.event_id, record.user_id],
                    record.version,
                    (&record.lines, &record.total, record.voucher.as_ref()),
                    record.reserved_at,
                )?
            }),
            reason: record.reason.and_then(end_reason_in),
            payment_id: record.payment_id,
        },
        FactRecord::Refunded(record) => Fact::Refunded(RefundedOrder {
            order_id: record.order_id,
            event_id: record.event_id,
            user_id: record.user_id,
            version: record.version,
            lines: lines_in(&record.lines)?,
            total: money_in(&record.total)?,
            voucher: used_in(record.voucher.as_ref())?,
            payment_id: record.payment_id,
            reserved_at: Timestamp::from_micros(record.reserved_at),
            reason: record.reason.and_then(end_reason_in),
            at: Timestamp::from_micros(record.refunded_at),
        }),
        FactRecord::Released(record) => Fact::Released(TicketReleased {
            order_id: record.order_id,
            event_id: record.event_id,
            user_id: record.user_id,
            version: record.version,
            ticket: ReleasedTicket {
                ticket_id: record.ticket_id,
                ticket_type_id: record.ticket_type_id,
            },
            at: Timestamp::from_micros(record.released_at),
        }),
        FactRecord::Confirmed(record) => Fact::Confirmed(Arc::new(Order {
            status: Status::Paid,
            updated_at: Timestamp::from_micros(record.confirmed_at),
            paid_at: Some(Timestamp::from_micros(record.confirmed_at)),
            tickets: record
                .tickets
                .iter()
                .map(ticket_in)
                .collect::<Result<_, _>>()?,
            payment_id: Some(record.payment_id).filter(|id| !id.is_nil()),
            ..unpaid(
                [record.order_id, record.event_id, record.user_id],
                record.version,
                (&record.lines, &record.total, record.voucher.as_ref()),
                record.reserved_at,
            )?
        })),
        FactRecord::PaymentFailed(record) => Fact::PaymentFailed(PaymentFailed {
            order_id: record.order_id,
            event_id: record.event_id,
            user_id: record.user_id,
            version: record.version,
            payment_id: record.payment_id,
            attempt: u32::try_from(record.attempt).map_err(|e| bad("attempt", e.to_string()))?,
            at: Timestamp::from_micros(record.failed_at),
        }),
        FactRecord::RefundDue(_) | FactRecord::RefundMade(_) => return Ok(None),
    }))
}

/// What every record of an order tells, as an order that was just reserved.
fn unpaid(
    [id, event_id, user_id]: [Uuid; 3],
    version: i64,
    (lines, total, voucher): (
        &[record::OrderLine],
        &schemas::Money,
        Option<&record::UsedVoucher>,
    ),
    reserved_at: i64,
) -> Result<Order, RecordError> {
    let reserved_at = Timestamp::from_micros(reserved_at);
    Ok(Order {
        id,
        event_id,
        user_id,
        version,
        status: Status::Reserved,
        lines: lines_in(lines)?,
        total: money_in(total)?,
        voucher: used_in(voucher)?,
        reserved_at,
        expires_at: None,
        updated_at: reserved_at,
        tickets: Vec::new(),
        paid_at: None,
        payment_id: None,
        fingerprint: Fingerprint::default(),
    })
}

/// A refund as the state keeps it.
pub(super) fn refund_in(record: &record::RefundOwed) -> Result<RefundOwed, RecordError> {
    Ok(RefundOwed {
        payment_id: record.payment_id,
        order_id: record.order_id,
        event_id: record.event_id,
        amount: money_in(&record.amount)?,
        due_at: Timestamp::from_micros(record.due_at),
    })
}
