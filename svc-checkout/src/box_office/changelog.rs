//! A decided batch as records: what the transaction writes.

use platform::avro::{Encoder, Registry, RegistryError};
use platform::clock::Timestamp;
use platform::ids::derived_id;
use platform::kafka::headers::RecordHeaders;
use rdkafka::message::OwnedHeaders;
use schemas::Record as _;
use schemas::catalog::voucher_key;
use schemas::checkout as record;
use schemas::dead::DeadLetter;
use schemas::topics;
use uuid::Uuid;

use super::records::{FactRecord, fact_out};
use super::state_records as state;
use super::voucher_records::{state_key, uses_out};
use crate::domain::books::Changes;
use crate::domain::event_book::EventBook;
use crate::domain::fact::Fact;
use crate::domain::voucher::VoucherKey;

/// CloudEvents source of all records of this service.
pub(crate) const SOURCE: &str = "/svc-checkout";

/// One record to produce; no payload is a tombstone.
pub struct Output {
    /// Topic.
    pub topic: &'static str,
    /// Key.
    pub key: String,
    /// Bytes.
    pub payload: Option<Vec<u8>>,
    /// CloudEvents headers; the state, which nobody else reads, has none.
    pub headers: Option<OwnedHeaders>,
}

/// Writes every record of the box office.
pub struct Changelog {
    reserved: Encoder<record::OrderReserved>,
    expired: Encoder<record::OrderExpired>,
    cancelled: Encoder<record::OrderCancelled>,
    refunded: Encoder<record::OrderRefunded>,
    released: Encoder<record::TicketReleased>,
    confirmed: Encoder<record::PaymentConfirmed>,
    failed: Encoder<record::PaymentFailed>,
    refund_due: Encoder<record::PaymentRefundDue>,
    refund_made: Encoder<record::PaymentRefunded>,
    stock: Encoder<record::StockLevel>,
    position: Encoder<record::PartitionPosition>,
    event: Encoder<record::EventBook>,
    hold: Encoder<record::OpenHold>,
    buyer: Encoder<record::BuyerCount>,
    voucher: Encoder<record::VoucherUses>,
    voucher_level: Encoder<record::VoucherLevel>,
    commands: Encoder<record::RecentCommands>,
    refund: Encoder<record::RefundOwed>,
    ended: Encoder<record::EndedOrder>,
    dead: Encoder<DeadLetter>,
}

impl Changelog {
    /// Registers the records.
    pub async fn register(registry: &Registry) -> Result<Self, RegistryError> {
        Ok(Self {
            reserved: registry.register().await?,
            expired: registry.register().await?,
            cancelled: registry.register().await?,
            refunded: registry.register().await?,
            released: registry.register().await?,
            confirmed: registry.register().await?,
            failed: registry.register().await?,
            refund_due: registry.register().await?,
            refund_made: registry.register().await?,
            stock: registry.register().await?,
            position: registry.register().await?,
            event: registry.register().await?,
            hold: registry.register().await?,
            buyer: registry.register().await?,
            voucher: registry.register().await?,
            voucher_level: registry.register().await?,
            commands: registry.register().await?,
            refund: registry.register().await?,
            ended: registry.register().await?,
            dead: registry.register_on("dead").await?,
        })
    }

    /// The ledger's record of a fact.
    pub fn fact(&self, fact: &Fact, traceparent: Option<&str>) -> Output {
        let (topic, order_id, version, name, at, payload) = match fact_out(fact) {
            FactRecord::Reserved(r) => (
                topics::CHECKOUT_ORDERS.name,
                r.order_id,
                r.version.to_string(),
                record::OrderReserved::NAME,
                r.reserved_at,
                self.reserved.encode(&r),
            ),
            FactRecord::Expired(r) => (
                topics::CHECKOUT_ORDERS.name,
                r.order_id,
                r.version.to_string(),
                record::OrderExpired::NAME,
                r.expired_at,
                self.expired.encode(&r),
            ),
            FactRecord::Cancelled(r) => (
                topics::CHECKOUT_ORDERS.name,
                r.order_id,
                r.version.to_string(),
                record::OrderCancelled::NAME,
                r.cancelled_at,
                self.cancelled.encode(&r),
            ),
            FactRecord::Refunded(r) => (
                topics::CHECKOUT_ORDERS.name,
                r.order_id,
                r.version.to_string(),
                record::OrderRefunded::NAME,
                r.refunded_at,
                self.refunded.encode(&r),
            ),
            FactRecord::Released(r) => (
                topics::CHECKOUT_ORDERS.name,
                r.order_id,
                r.version.to_string(),
                record::TicketReleased::NAME,
                r.released_at,
                self.released.encode(&r),
            ),
            FactRecord::Confirmed(r) => (
                topics::CHECKOUT_PAYMENTS.name,
                r.order_id,
                r.version.to_string(),
                record::PaymentConfirmed::NAME,
                r.confirmed_at,
                self.confirmed.encode(&r),
            ),
            FactRecord::PaymentFailed(r) => (
                topics::CHECKOUT_PAYMENTS.name,
                r.order_id,
                r.version.to_string(),
                record::PaymentFailed::NAME,
                r.failed_at,
                self.failed.encode(&r),
            ),
            FactRecord::RefundDue(r) => (
                topics::CHECKOUT_PAYMENTS.name,
                r.order_id,
                r.payment_id.to_string(),
                record::PaymentRefundDue::NAME,
                r.due_at,
                self.refund_due.encode(&r),
            ),
            FactRecord::RefundMade(r) => (
                topics::CHECKOUT_PAYMENTS.name,
                r.order_id,
                r.payment_id.to_string(),
                record::PaymentRefunded::NAME,
                r.refunded_at,
                self.refund_made.encode(&r),
            ),
        };
        let key = order_id.to_string();
        // The same fact bears the same id however often it is produced.
        let id = derived_id(order_id, &[name, &version]);
        let headers = headers(id, name, &key, Timestamp::from_micros(at), traceparent);
        Output {
            topic,
            key,
            payload: Some(payload),
            headers: Some(headers),
        }
    }

    /// State and stock after a batch: the last value per changed key.
    ///
    /// `commands_key` names the batch; it is used when a command had an effect.
    pub fn changes(&self, changes: &Changes, commands_key: &str, now: Timestamp) -> Vec<Output> {
        let mut outputs = Vec::with_capacity(changes.holds.len() + 8);
        for book in changes.events.values() {
            outputs.push(entity(
                state::event_key(book.id),
                Some(self.event.encode(&state::event_out(book))),
            ));
            outputs.push(self.stock(book, now));
        }
        for (id, hold) in &changes.holds {
            let payload = hold.as_ref().map(|h| self.hold.encode(&state::hold_out(h)));
            outputs.push(entity(state::hold_key(*id), payload));
        }
        for (key, count) in &changes.buyers {
            let payload = count
                .as_ref()
                .map(|count| self.buyer.encode(&state::buyer_out(*key, count)));
            outputs.push(entity(state::buyer_key(*key), payload));
        }
        for (key, uses) in &changes.vouchers {
            let payload = uses.map(|uses| self.voucher.encode(&uses_out(key, uses)));
            outputs.push(entity(state_key(key), payload));
            // Whatever counts an order for its voucher moves stock, so the event's book has changed as well.
            let book = changes.events.get(&key.0);
            outputs.extend(book.map(|book| self.voucher_level(book, key, *uses, now)));
        }
        for (id, refund) in &changes.refunds {
            let payload = refund
                .as_ref()
                .map(|owed| self.refund.encode(&state::refund_out(owed)));
            outputs.push(entity(state::refund_key(*id), payload));
        }
        for (id, ended) in &changes.ended {
            let payload = ended
                .as_ref()
                .map(|ended| self.ended.encode(&state::ended_out(ended)));
            outputs.push(entity(state::ended_key(*id), payload));
        }
        if !changes.effects.is_empty() {
            let commands = state::commands_out(changes.effects.iter(), now);
            outputs.push(entity(
                commands_key.to_owned(),
                Some(self.commands.encode(&commands)),
            ));
        }
        outputs
    }

    fn stock(&self, book: &EventBook, now: Timestamp) -> Output {
        let key = book.id.to_string();
        let level = state::stock_out(book, now);
        let id = derived_id(book.id, &["stock", &level.version.to_string()]);
        Output {
            topic: topics::CHECKOUT_STOCK.name,
            payload: Some(self.stock.encode(&level)),
            headers: Some(headers(id, record::StockLevel::NAME, &key, now, None)),
            key,
        }
    }

    fn voucher_level(
        &self,
        book: &EventBook,
        (event_id, code): &VoucherKey,
        uses: Option<i64>,
        now: Timestamp,
    ) -> Output {
        let key = voucher_key(*event_id, code.as_str());
        let level = record::VoucherLevel {
            event_id: *event_id,
            code: code.as_str().to_owned(),
            version: book.stock_version,
            uses: uses.unwrap_or(0),
            at: now.as_micros(),
        };
        let version = level.version.to_string();
        let id = derived_id(*event_id, &["voucher", code.as_str(), &version]);
        Output {
            topic: topics::CHECKOUT_STOCK.name,
            payload: Some(self.voucher_level.encode(&level)),
            headers: Some(headers(id, record::VoucherLevel::NAME, &key, now, None)),
            key,
        }
    }

    /// Forgets a batch of commands.
    pub fn forget(key: String) -> Output {
        entity(key, None)
    }

    /// Where a partition stands. An empty owner: it was handed over in order.
    pub fn position(&self, owner: &str, next_offset: i64, last_time: Timestamp) -> Output {
        let position = record::PartitionPosition {
            owner: owner.to_owned(),
            next_offset,
            last_time: last_time.as_micros(),
        };
        entity(
            state::POSITION_KEY.to_owned(),
            Some(self.position.encode(&position)),
        )
    }

    /// A command that could not be decided.
    pub fn dead_letter(
        &self,
        place: (i32, i64),
        payload: Option<Vec<u8>>,
        reason: String,
        now: Timestamp,
    ) -> Output {
        let (partition, offset) = place;
        let topic = topics::CHECKOUT_COMMANDS.name;
        let key = format!("{topic}/{partition}/{offset}");
        let id = derived_id(Uuid::NAMESPACE_URL, &[super::GROUP, &key]);
        let letter = DeadLetter {
            topic: topic.to_owned(),
            partition,
            offset,
            reason,
            payload,
            at: now.as_micros(),
        };
        Output {
            topic: DEAD_TOPIC,
            payload: Some(self.dead.encode(&letter)),
            headers: Some(headers(id, DeadLetter::NAME, &key, now, None)),
            key,
        }
    }
}

/// Where commands go that could not be decided.
pub const DEAD_TOPIC: &str = "checkout.commands.svc-checkout.dead";

fn entity(key: String, payload: Option<Vec<u8>>) -> Output {
    Output {
        topic: topics::CHECKOUT_STATE.name,
        key,
        payload,
        headers: None,
    }
}

fn headers(
    id: Uuid,
    record_name: &str,
    subject: &str,
    time: Timestamp,
    traceparent: Option<&str>,
) -> OwnedHeaders {
    RecordHeaders {
        id,
        record_name,
        source: SOURCE,
        subject,
        time,
        traceparent,
    }
    .to_owned_headers()
}
