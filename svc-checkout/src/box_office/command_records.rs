//! Between commands and their records, both ways.

use platform::clock::Timestamp;
use schemas::checkout as record;

use super::records::{RecordError, bad, fingerprint_in, lines_in, lines_out, money_in, money_out};
use super::voucher_records::{used_in, used_out, wanted_in, wanted_out};
use crate::domain::command::{
    CancelOrder, Command, LowerQuantities, OrderRow, PaymentOutcome, PlaceOrder, RefundOrder,
    ReleaseTicket, SettlePayment, SettleRefund, StartPayment,
};
use crate::domain::order::Status;

/// A command as its record.
pub enum CommandRecord {
    /// Hold tickets.
    PlaceOrder(record::PlaceOrder),
    /// Start a payment.
    StartPayment(record::StartPayment),
    /// Cancel an order.
    CancelOrder(record::CancelOrder),
    /// Refund an order.
    RefundOrder(record::RefundOrder),
    /// Give a ticket back.
    ReleaseTicket(record::ReleaseTicket),
    /// Settle a payment.
    SettlePayment(record::SettlePayment),
    /// Settle a refund.
    SettleRefund(record::SettleRefund),
    /// Sell less.
    LowerQuantities(record::LowerQuantities),
}

/// Writes a command as its record.
pub fn command_out(command: &Command) -> CommandRecord {
    match command {
        Command::PlaceOrder(command) => CommandRecord::PlaceOrder(record::PlaceOrder {
            command_id: command.command_id,
            event_id: command.event_id,
            user_id: command.user_id,
            lines: command
                .lines
                .iter()
                .map(|&(ticket_type_id, quantity)| record::WantedLine {
                    ticket_type_id,
                    quantity,
                })
                .collect(),
            voucher: command.voucher.as_ref().map(wanted_out),
            complimentary: command.complimentary.then_some(true),
            fingerprint: command.fingerprint.to_vec(),
            not_after: command.not_after.as_micros(),
        }),
        Command::StartPayment(command) => CommandRecord::StartPayment(record::StartPayment {
            command_id: command.command_id,
            event_id: command.event_id,
            order_id: command.order_id,
            user_id: command.user_id,
            fingerprint: command.fingerprint.to_vec(),
            not_after: command.not_after.as_micros(),
        }),
        Command::CancelOrder(command) => CommandRecord::CancelOrder(record::CancelOrder {
            command_id: command.command_id,
            event_id: command.event_id,
            order_id: command.order_id,
            user_id: command.user_id,
            fingerprint: command.fingerprint.to_vec(),
            not_after: command.not_after.as_micros(),
        }),
        Command::RefundOrder(command) => CommandRecord::RefundOrder(record::RefundOrder {
            command_id: command.command_id,
            event_id: command.event_id,
            order_id: command.order_id,
            user_id: command.user_id,
            row: row_out(&command.row),
            fingerprint: command.fingerprint.to_vec(),
            not_after: command.not_after.as_micros(),
        }),
        Command::ReleaseTicket(command) => CommandRecord::ReleaseTicket(record::ReleaseTicket {
            command_id: command.command_id,
            event_id: command.event_id,
            order_id: command.order_id,
            ticket_id: command.ticket_id,
            user_id: command.user_id,
            row: row_out(&command.row),
            fingerprint: command.fingerprint.to_vec(),
            not_after: command.not_after.as_micros(),
        }),
        Command::SettlePayment(command) => CommandRecord::SettlePayment(record::SettlePayment {
            command_id: command.command_id,
            event_id: command.event_id,
            order_id: command.order_id,
            payment_id: command.payment_id,
            outcome: match command.outcome {
                PaymentOutcome::Paid => record::PaymentOutcome::Paid,
                PaymentOutcome::Declined => record::PaymentOutcome::Declined,
            },
            amount: money_out(command.amount),
            row: command.row.as_ref().map(row_out),
        }),
        Command::SettleRefund(command) => CommandRecord::SettleRefund(record::SettleRefund {
            command_id: command.command_id,
            event_id: command.event_id,
            order_id: command.order_id,
            payment_id: command.payment_id,
        }),
        Command::LowerQuantities(command) => {
            CommandRecord::LowerQuantities(record::LowerQuantities {
                command_id: command.command_id,
                event_id: command.event_id,
                version: command.version,
                quantities: command
                    .quantities
                    .iter()
                    .map(|&(ticket_type_id, quantity)| record::WantedQuantity {
                        ticket_type_id,
                        quantity,
                    })
                    .collect(),
                not_after: command.not_after.as_micros(),
            })
        }
    }
}

fn row_out(row: &OrderRow) -> record::OrderRow {
    record::OrderRow {
        status: match row.status {
            Status::Reserved => record::OrderStatus::Reserved,
            Status::Paid => record::OrderStatus::Paid,
            Status::Expired => record::OrderStatus::Expired,
            Status::Cancelled => record::OrderStatus::Cancelled,
            Status::Refunded => record::OrderStatus::Refunded,
        },
        version: row.version,
        user_id: row.user_id,
        lines: lines_out(&row.lines),
        total: money_out(row.total),
        voucher: used_out(row.voucher.as_ref()),
        created_at: row.reserved_at.as_micros(),
        payment_id: row.payment_id,
        updated_at: row.updated_at.as_micros(),
    }
}

fn row_in(row: &record::OrderRow) -> Result<OrderRow, RecordError> {
    Ok(OrderRow {
        status: match row.status {
            record::OrderStatus::Reserved => Status::Reserved,
            record::OrderStatus::Paid => Status::Paid,
            record::OrderStatus::Expired => Status::Expired,
            record::OrderStatus::Cancelled => Status::Cancelled,
            record::OrderStatus::Refunded => Status::Refunded,
            record::OrderStatus::Unknown => return Err(bad("row.status", "unknown")),
        },
        version: row.version,
        user_id: row.user_id,
        lines: lines_in(&row.lines)?,
        total: money_in(&row.total)?,
        voucher: used_in(row.voucher.as_ref())?,
        reserved_at: Timestamp::from_micros(row.created_at),
        payment_id: row.payment_id,
        updated_at: Timestamp::from_micros(row.updated_at),
    })
}

/// Reads a command from its record.
pub fn command_in(record: CommandRecord) -> Result<Command, RecordError> {
    Ok(match record {
        CommandRecord::PlaceOrder(record) => Command::PlaceOrder(PlaceOrder {
            command_id: record.command_id,
            event_id: record.event_id,
            user_id: record.user_id,
            lines: record
                .lines
                .iter()
                .map(|line| match line.quantity {
                    1.. => Ok((line.ticket_type_id, line.quantity)),
                    other => Err(bad("lines.quantity", other.to_string())),
                })
                .collect::<Result<_, _>>()?,
            voucher: record.voucher.as_ref().map(wanted_in).transpose()?,
            complimentary: record.complimentary.unwrap_or(false),
            fingerprint: fingerprint_in(&record.fingerprint)?,
            not_after: Timestamp::from_micros(record.not_after),
        }),
        CommandRecord::StartPayment(record) => Command::StartPayment(StartPayment {
            command_id: record.command_id,
            event_id: record.event_id,
            order_id: record.order_id,
            user_id: record.user_id,
            fingerprint: fingerprint_in(&record.fingerprint)?,
            not_after: Timestamp::from_micros(record.not_after),
        }),
        CommandRecord::CancelOrder(record) => Command::CancelOrder(CancelOrder {
            command_id: record.command_id,
            event_id: record.event_id,
            order_id: record.order_id,
            user_id: record.user_id,
            fingerprint: fingerprint_in(&record.fingerprint)?,
            not_after: Timestamp::from_micros(record.not_after),
        }),
        CommandRecord::RefundOrder(record) => Command::RefundOrder(RefundOrder {
            command_id: record.command_id,
            event_id: record.event_id,
            order_id: record.order_id,
            user_id: record.user_id,
            row: row_in(&record.row)?,
            fingerprint: fingerprint_in(&record.fingerprint)?,
            not_after: Timestamp::from_micros(record.not_after),
        }),
        CommandRecord::ReleaseTicket(record) => Command::ReleaseTicket(ReleaseTicket {
            command_id: record.command_id,
            event_id: record.event_id,
            order_id: record.order_id,
            ticket_id: record.ticket_id,
            user_id: record.user_id,
            row: row_in(&record.row)?,
            fingerprint: fingerprint_in(&record.fingerprint)?,
            not_after: Timestamp::from_micros(record.not_after),
        }),
        CommandRecord::SettlePayment(record) => Command::SettlePayment(SettlePayment {
            command_id: record.command_id,
            event_id: record.event_id,
            order_id: record.order_id,
            payment_id: record.payment_id,
            outcome: match record.outcome {
                record::PaymentOutcome::Paid => PaymentOutcome::Paid,
                record::PaymentOutcome::Declined => PaymentOutcome::Declined,
                record::PaymentOutcome::Unknown => return Err(bad("outcome", "unknown")),
            },
            amount: money_in(&record.amount)?,
            row: record.row.as_ref().map(row_in).transpose()?,
        }),
        CommandRecord::SettleRefund(record) => Command::SettleRefund(SettleRefund {
            command_id: record.command_id,
            event_id: record.event_id,
            order_id: record.order_id,
            payment_id: record.payment_id,
        }),
        CommandRecord::LowerQuantities(record) => Command::LowerQuantities(LowerQuantities {
            command_id: record.command_id,
            event_id: record.event_id,
            version: record.version,
            quantities: record
                .quantities
                .iter()
                .map(|wanted| match wanted.quantity {
                    0.. => Ok((wanted.ticket_type_id, wanted.quantity)),
                    other => Err(bad("quantities.quantity", other.to_string())),
                })
                .collect::<Result<_, _>>()?,
            not_after: Timestamp::from_micros(record.not_after),
        }),
    })
}
