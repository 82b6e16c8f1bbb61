//! Commands on checkout.commands: bytes to command and back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use platform::avro::{Datum, DecodeError, Encoder, Registry, RegistryError};
use schemas::Record as _;
use schemas::checkout as record;

use super::command_records::{CommandRecord, command_in, command_out};
use super::records::RecordError;
use crate::domain::command::Command;

/// Writes commands.
#[derive(Clone)]
pub struct CommandEncoders {
    place_order: Encoder<record::PlaceOrder>,
    start_payment: Encoder<record::StartPayment>,
    cancel_order: Encoder<record::CancelOrder>,
    refund_order: Encoder<record::RefundOrder>,
    release_ticket: Encoder<record::ReleaseTicket>,
    settle_payment: Encoder<record::SettlePayment>,
    settle_refund: Encoder<record::SettleRefund>,
    lower_quantities: Encoder<record::LowerQuantities>,
}

impl CommandEncoders {
    /// Registers the records.
    pub async fn register(registry: &Registry) -> Result<Self, RegistryError> {
        Ok(Self {
            place_order: registry.register().await?,
            start_payment: registry.register().await?,
            cancel_order: registry.register().await?,
            refund_order: registry.register().await?,
            release_ticket: registry.register().await?,
            settle_payment: registry.register().await?,
            settle_refund: registry.register().await?,
            lower_quantities: registry.register().await?,
        })
    }

    /// Bytes and record name of a command.
    pub fn encode(&self, command: &Command) -> (Vec<u8>, &'static str) {
        match command_out(command) {
            CommandRecord::PlaceOrder(r) => (self.place_order.encode(&r), record::PlaceOrder::NAME),
            CommandRecord::StartPayment(r) => {
                (self.start_payment.encode(&r), record::StartPayment::NAME)
            }
            CommandRecord::CancelOrder(r) => {
                (self.cancel_order.encode(&r), record::CancelOrder::NAME)
            }
            CommandRecord::RefundOrder(r) => {
                (self.refund_order.encode(&r), record::RefundOrder::NAME)
            }
            CommandRecord::ReleaseTicket(r) => {
                (self.release_ticket.encode(&r), record::ReleaseTicket::NAME)
            }
            CommandRecord::SettlePayment(r) => {
                (self.settle_payment.encode(&r), record::SettlePayment::NAME)
            }
            CommandRecord::SettleRefund(r) => {
                (self.settle_refund.encode(&r), record::SettleRefund::NAME)
            }
            CommandRecord::LowerQuantities(r) => (
                self.lower_quantities.encode(&r),
                record::LowerQuantities::NAME,
            ),
        }
    }
}

/// Why bytes on checkout.commands are no command. They go to the dead letter topic.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Not our Avro.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Impossible content.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Another record.
    #[error("{0} is no command")]
    Unknown(&'static str),
    /// Bytes on which reading broke.
    #[error("reading it panicked")]
    Panicked,
    /// A record without a payload.
    #[error("a tombstone is no command")]
    Tombstone,
}

/// Reads a command. The bytes are anybody's: a panic on them would end the process, and its successor's, for they stay
/// where they are.
pub fn decode(datum: &Datum<'_>) -> Result<Command, CommandError> {
    guarded(|| read(datum))
}

fn guarded(read: impl FnOnce() -> Result<Command, CommandError>) -> Result<Command, CommandError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(CommandError::Panicked))
}

fn read(datum: &Datum<'_>) -> Result<Command, CommandError> {
    let record = match datum.name() {
        record::PlaceOrder::NAME => CommandRecord::PlaceOrder(datum.read()?),
        record::StartPayment::NAME => CommandRecord::StartPayment(datum.read()?),
        record::CancelOrder::NAME => CommandRecord::CancelOrder(datum.read()?),
        record::RefundOrder::NAME => CommandRecord::RefundOrder(datum.read()?),
        record::ReleaseTicket::NAME => CommandRecord::ReleaseTicket(datum.read()?),
        record::SettlePayment::NAME => CommandRecord::SettlePayment(datum.read()?),
        record::SettleRefund::NAME => CommandRecord::SettleRefund(datum.read()?),
        record::LowerQuantities::NAME => CommandRecord::LowerQuantities(datum.read()?),
        other => return Err(CommandError::Unknown(other)),
    };
    Ok(command_in(record)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_on_which_reading_panics_are_no_command() {
        let read = guarded(|| panic!("a length that nobody thought of"));
        assert!(matches!(read, Err(CommandError::Panicked)));
        let read = guarded(|| Err(CommandError::Tombstone));
        assert!(matches!(read, Err(CommandError::Tombstone)));
    }
}
