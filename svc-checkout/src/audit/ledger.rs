//! What the topics say: every order with all its records, what is owed back, the stock, and what was on offer.

use std::collections::HashMap;

use platform::avro::{Datum, Registry};
use platform::config::KafkaConfig;
use platform::kafka::topic_reader::{Place, ReadError, TopicReader};
use schemas::catalog::{EventInventory, VoucherTerms};
use schemas::checkout::{
    EndReason, IssuedTicket, OrderCancelled, OrderExpired, OrderLine, OrderRefunded, OrderReserved,
    PaymentConfirmed, PaymentFailed, PaymentRefundDue, PaymentRefunded, StockLevel, TicketReleased,
    UsedVoucher, VoucherLevel,
};
use schemas::topics::{CATALOG_INVENTORY, CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, CHECKOUT_STOCK};
use schemas::{Micros, Money, Record};
use uuid::Uuid;

use super::scope::Scope;

/// What a record did to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Reserved,
    Failed,
    Confirmed,
    Expired,
    Cancelled,
    Refunded,
    /// One of its tickets; the order stays as it is.
    Released,
}

/// What was bought, as each of an order's records repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) lines: Vec<OrderLine>,
    pub(super) total: Money,
    pub(super) voucher: Option<UsedVoucher>,
    pub(super) reserved_at: Micros,
}

/// A ticket that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Released {
    pub(super) ticket_id: Uuid,
    pub(super) ticket_type_id: Uuid,
}

/// One record about an order.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) step: Step,
    pub(super) event_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) version: i64,
    /// When the box office decided.
    pub(super) at: Micros,
    /// A failed payment tells nothing of them, and neither does a released ticket.
    pub(super) terms: Option<Terms>,
    /// Of a payment; the one of a free order has the nil id. Of a cancelled order: what was captured and goes back.
    pub(super) payment_id: Option<Uuid>,
    /// The order's number, where the record tells it.
    pub(super) number: Option<String>,
    /// Of an order that was cancelled or taken back, where the record tells it.
    pub(super) reason: Option<EndReason>,
    /// Of a confirmed payment.
    pub(super) tickets: Vec<IssuedTicket>,
    /// Of a released ticket.
    pub(super) released: Option<Released>,
    /// Of a reserved order.
    pub(super) expires_at: Option<Micros>,
    /// Of a reserved order.
    pub(super) fingerprint: Vec<u8>,
}

impl Entry {
    /// The lines; a failed payment and a released ticket have none.
    pub(super) fn lines(&self) -> &[OrderLine] {
        self.terms.as_ref().map_or(&[], |terms| &terms.lines)
    }
}

/// Everything that was read so far.
pub(super) struct Ledger {
    /// An order's records by version; those of one version as they lie in their topics.
    pub(super) orders: HashMap<Uuid, Vec<Entry>>,
    pub(super) due: Vec<PaymentRefundDue>,
    pub(super) refunded: Vec<PaymentRefunded>,
    /// In the order of each event's partition.
    pub(super) stock: HashMap<Uuid, Vec<StockLevel>>,
    /// Every version that compaction has left.
    pub(super) inventory: HashMap<Uuid, Vec<EventInventory>>,
    /// What the catalog said of an event's vouchers, as far as compaction and deletion have left it.
    pub(super) vouchers: HashMap<Uuid, Vec<VoucherTerms>>,
    /// How often the box office said last that they are used, by event and code.
    pub(super) voucher_levels: HashMap<(Uuid, String), VoucherLevel>,
    pub(super) unreadable: Vec<String>,
    pub(super) records: u64,
    scope: Scope,
    readers: Option<Readers>,
}

struct Readers {
    inventory: TopicReader,
    stock: TopicReader,
    orders: TopicReader,
    payments: TopicReader,
}

impl Ledger {
    /// Nothing read yet.
    pub(super) fn open(
        kafka: &KafkaConfig,
        registry: &Registry,
        scope: Scope,
    ) -> Result<Self, ReadError> {
        let reader =
            |topic| TopicReader::open(kafka, registry, "audit", topic, kafka.event_partitions);
        Ok(Self {
            readers: Some(Readers {
                inventory: reader(CATALOG_INVENTORY.name)?,
                stock: reader(CHECKOUT_STOCK.name)?,
                orders: reader(CHECKOUT_ORDERS.name)?,
                payments: reader(CHECKOUT_PAYMENTS.name)?,
            }),
            scope,
            ..Self::empty()
        })
    }

    pub(super) fn empty() -> Self {
        Self {
            orders: HashMap::new(),
            due: Vec::new(),
            refunded: Vec::new(),
            stock: HashMap::new(),
            inventory: HashMap::new(),
            vouchers: HashMap::new(),
            voucher_levels: HashMap::new(),
            unreadable: Vec::new(),
            records: 0,
            scope: Scope::default(),
            readers: None,
        }
    }

    /// Reads on to what is there now.
    pub(super) async fn read_on(&mut self) -> Result<(), ReadError> {
        let Some(mut readers) = self.readers.take() else {
            return Ok(());
        };
        let mut unreadable = std::mem::take(&mut self.unreadable);
        let mut count = 0;
        // The stock before the orders: what a level counts is then there when it is counted again.
        for reader in [
            &mut readers.inventory,
            &mut readers.stock,
            &mut readers.orders,
            &mut readers.payments,
        ] {
            let take = async |place, datum: Option<Datum<'_>>| match datum {
                Some(datum) => self.take(place, &datum),
                None => Ok(()),
            };
            count += reader.read_on(take, &mut unreadable).await?;
        }
        self.records += count;
        self.unreadable = unreadable;
        self.readers = Some(readers);
        Ok(())
    }

    fn take(&mut self, place: Place, datum: &Datum<'_>) -> Result<(), String> {
        fn read<R: Record>(datum: &Datum<'_>) -> Result<R, String> {
            datum.read().map_err(|error| error.to_string())
        }
        match datum.name() {
            EventInventory::NAME => {
                let record: EventInventory = read(datum)?;
                if self.scope.has_event(record.event_id) {
                    let versions = self.inventory.entry(record.event_id).or_default();
                    versions.push(record);
                }
            }
            VoucherTerms::NAME => {
                let record: VoucherTerms = read(datum)?;
                if self.scope.has_event(record.event_id) {
                    let versions = self.vouchers.entry(record.event_id).or_default();
                    versions.push(record);
                }
            }
            VoucherLevel::NAME => {
                let record: VoucherLevel = read(datum)?;
                if self.scope.has_event(record.event_id) {
                    let key = (record.event_id, record.code.clone());
                    self.voucher_levels.insert(key, record);
                }
            }
            StockLevel::NAME => {
                let record: StockLevel = read(datum)?;
                if self.scope.has_event(record.event_id) {
                    self.stock.entry(record.event_id).or_default().push(record);
                }
            }
            PaymentRefundDue::NAME => {
                let record: PaymentRefundDue = read(datum)?;
                let ours = self.scope.has_event(record.event_id);
                self.due.extend(ours.then_some(record));
            }
            PaymentRefunded::NAME => {
                let record: PaymentRefunded = read(datum)?;
                let ours = self.scope.has_event(record.event_id);
                self.refunded.extend(ours.then_some(record));
            }
            name => {
                let (order_id, entry) = match name {
                    OrderReserved::NAME => reserved(place, read(datum)?),
                    OrderExpired::NAME => expired(place, read(datum)?),
                    OrderCancelled::NAME => cancelled(place, read(datum)?),
                    OrderRefunded::NAME => refunded(place, read(datum)?),
                    PaymentConfirmed::NAME => confirmed(place, read(datum)?),
                    PaymentFailed::NAME => failed(place, &read(datum)?),
                    TicketReleased::NAME => released(place, &read(datum)?),
                    _ => return Err(format!("{name} is nothing that this audit knows")),
                };
                if self.scope.has_event(entry.event_id) {
                    self.add(order_id, entry);
                }
            }
        }
        Ok(())
    }

    /// Adds a record of an order.
    pub(super) fn add(&mut self, order_id: Uuid, entry: Entry) {
        let entries = self.orders.entry(order_id).or_default();
        let after = entries.partition_point(|other| other.version <= entry.version);
        entries.insert(after, entry);
    }
}

/// What an entry is made of in every record.
struct Base {
    place: Place,
    step: Step,
    event_id: Uuid,
    user_id: Uuid,
    version: i64,
    at: Micros,
}

impl Base {
    fn entry(self, terms: Option<Terms>) -> Entry {
        let Base {
            place,
            step,
            event_id,
            user_id,
            version,
            at,
        } = self;
        Entry {
            place,
            step,
            event_id,
            user_id,
            version,
            at,
            terms,
            payment_id: None,
            number: None,
            reason: None,
            tickets: Vec::new(),
            released: None,
            expires_at: None,
            fingerprint: Vec::new(),
        }
    }
}

/// The fields that every record about an order has, under the names that it gives to them.
macro_rules! base {
    ($place:ident, $step:ident, $record:ident.$at:ident) => {
        Base {
            place: $place,
            step: Step::$step,
            event_id: $record.event_id,
            user_id: $record.user_id,
            version: $record.version,
            at: $record.$at,
        }
    };
}

macro_rules! terms {
    ($record:ident) => {
        Some(Terms {
            lines: $record.lines,
            total: $record.total,
            voucher: $record.voucher,
            reserved_at: $record.reserved_at,
        })
    };
}

fn reserved(place: Place, record: OrderReserved) -> (Uuid, Entry) {
    let base = base!(place, Reserved, record.reserved_at);
    let entry = Entry {
        expires_at: Some(record.expires_at),
        fingerprint: record.fingerprint,
        number: Some(record.number),
        ..base.entry(terms!(record))
    };
    (record.order_id, entry)
}

fn expired(place: Place, record: OrderExpired) -> (Uuid, Entry) {
    let base = base!(place, Expired, record.expired_at);
    (record.order_id, base.entry(terms!(record)))
}

fn cancelled(place: Place, record: OrderCancelled) -> (Uuid, Entry) {
    let base = base!(place, Cancelled, record.cancelled_at);
    let entry = Entry {
        payment_id: record.payment_id,
        number: record.number,
        reason: record.reason,
        ..base.entry(terms!(record))
    };
    (record.order_id, entry)
}

fn refunded(place: Place, record: OrderRefunded) -> (Uuid, Entry) {
    let base = base!(place, Refunded, record.refunded_at);
    let entry = Entry {
        payment_id: record.payment_id,
        number: record.number,
        reason: record.reason,
        ..base.entry(terms!(record))
    };
    (record.order_id, entry)
}

fn confirmed(place: Place, record: PaymentConfirmed) -> (Uuid, Entry) {
    let base = base!(place, Confirmed, record.confirmed_at);
    let entry = Entry {
        payment_id: Some(record.payment_id),
        number: Some(record.number),
        tickets: record.tickets,
        ..base.entry(terms!(record))
    };
    (record.order_id, entry)
}

fn failed(place: Place, record: &PaymentFailed) -> (Uuid, Entry) {
    let base = base!(place, Failed, record.failed_at);
    let entry = Entry {
        payment_id: Some(record.payment_id),
        ..base.entry(None)
    };
    (record.order_id, entry)
}

fn released(place: Place, record: &TicketReleased) -> (Uuid, Entry) {
    let base = base!(place, Released, record.released_at);
    let entry = Entry {
        released: Some(Released {
            ticket_id: record.ticket_id,
            ticket_type_id: record.ticket_type_id,
        }),
        ..base.entry(None)
    };
    (record.order_id, entry)
}
