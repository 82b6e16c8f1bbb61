//! The records of an order and of a batch, as the contract has them, so that their sizes are real.

use platform::avro::{Encoder, Registry, RegistryError};
use platform::clock::Timestamp;
use platform::kafka::headers::RecordHeaders;
use rdkafka::message::OwnedHeaders;
use schemas::catalog::EventStatus;
use schemas::checkout::{
    CommandEffect, EventBook, OpenHold, OrderLine, OrderReserved, PartitionPosition, PlaceOrder,
    RecentCommands, StockLevel, TicketTypeBook, TicketTypeStock, WantedLine,
};
use schemas::{Money, Record as _};
use uuid::Uuid;

use crate::order::{CURRENCY, Order, PRICE, SEATS, Show};
use crate::place::{ORDERS, STATE, STOCK};

/// As long as the real one.
pub(crate) const SOURCE: &str = "/svc-checkout";

/// A record of a transaction.
pub(crate) struct Output {
    /// Topic.
    pub(crate) topic: &'static str,
    /// Key.
    pub(crate) key: String,
    /// Bytes.
    pub(crate) payload: Vec<u8>,
    /// CloudEvents headers; the state has none.
    pub(crate) headers: Option<OwnedHeaders>,
}

/// Where the books stand after a batch.
pub(crate) struct Books<'a> {
    /// Who writes them.
    pub(crate) owner: &'a str,
    /// Orders so far in this partition: the stock that is held, and the offset of the next command.
    pub(crate) orders: i64,
    /// Batches so far.
    pub(crate) batches: i64,
    /// Time of the batch.
    pub(crate) now: Timestamp,
}

/// Writes the records.
pub(crate) struct Encoders {
    command: Encoder<PlaceOrder>,
    reserved: Encoder<OrderReserved>,
    hold: Encoder<OpenHold>,
    event: Encoder<EventBook>,
    stock: Encoder<StockLevel>,
    commands: Encoder<RecentCommands>,
    position: Encoder<PartitionPosition>,
}

impl Encoders {
    /// Takes the ids that the box office has registered.
    pub(crate) async fn register(registry: &Registry) -> Result<Self, RegistryError> {
        Ok(Self {
            command: registry.register().await?,
            reserved: registry.register().await?,
            hold: registry.register().await?,
            event: registry.register().await?,
            stock: registry.register().await?,
            commands: registry.register().await?,
            position: registry.register().await?,
        })
    }

    /// The wish for an order.
    pub(crate) fn command(&self, order: &Order) -> Vec<u8> {
        let show = &order.show;
        self.command.encode(&PlaceOrder {
            command_id: order.command_id,
            event_id: show.event_id,
            user_id: order.user_id,
            lines: vec![WantedLine {
                ticket_type_id: show.ticket_type_id,
                quantity: 1,
            }],
            fingerprint: order.fingerprint.to_vec(),
            not_after: Timestamp::now().as_micros(),
            voucher: None,
            complimentary: None,
        })
    }

    /// The ledger's record of an order.
    pub(crate) fn reserved(&self, order: &Order) -> Output {
        let show = &order.show;
        let key = order.id.to_string();
        let payload = self.reserved.encode(&OrderReserved {
            order_id: order.id,
            event_id: show.event_id,
            user_id: order.user_id,
            version: 1,
            number: "O-7G3KQ0ZT5M".to_owned(),
            lines: lines(show),
            total: money(),
            expires_at: order.expires_at(),
            reserved_at: order.reserved_at.as_micros(),
            fingerprint: order.fingerprint.to_vec(),
            voucher: None,
        });
        let headers = headers(order.id, OrderReserved::NAME, &key, order.reserved_at);
        Output {
            topic: ORDERS.name,
            key,
            payload,
            headers: Some(headers),
        }
    }

    /// The open hold of an order.
    pub(crate) fn hold(&self, order: &Order) -> Output {
        let show = &order.show;
        let hold = OpenHold {
            order_id: order.id,
            event_id: show.event_id,
            user_id: order.user_id,
            version: 1,
            lines: lines(show),
            total: money(),
            reserved_at: order.reserved_at.as_micros(),
            expires_at: order.expires_at(),
            updated_at: order.reserved_at.as_micros(),
            attempts: 0,
            paying: false,
            payment_deadline: None,
            fingerprint: order.fingerprint.to_vec(),
            voucher: None,
        };
        state(format!("hold/{}", order.id), self.hold.encode(&hold))
    }

    /// The event's book and its stock.
    pub(crate) fn event(&self, show: &Show, books: &Books<'_>) -> [Output; 2] {
        let book = EventBook {
            event_id: show.event_id,
            inventory_version: 2,
            status: EventStatus::Published,
            organizer_id: show.ticket_type_id,
            currency: CURRENCY.to_owned(),
            stock_version: books.batches,
            tickets_issued: 0,
            ticket_types: vec![TicketTypeBook {
                ticket_type_id: show.ticket_type_id,
                kind: "general".to_owned(),
                price: money(),
                quantity: SEATS,
                held: books.orders,
                sold: 0,
                max_per_buyer: None,
                counted_since: None,
                sale_starts_at: None,
                sale_ends_at: None,
            }],
            first_order_at: Some(books.now.as_micros()),
            caps: None,
            attendance_releases_seat: None,
            released: None,
        };
        let level = StockLevel {
            event_id: show.event_id,
            version: books.batches,
            ticket_types: vec![TicketTypeStock {
                ticket_type_id: show.ticket_type_id,
                quantity: SEATS,
                held: books.orders,
                sold: 0,
                free: SEATS - books.orders,
            }],
            at: books.now.as_micros(),
        };
        let key = show.event_id.to_string();
        let headers = headers(show.event_id, StockLevel::NAME, &key, books.now);
        let stock = Output {
            topic: STOCK.name,
            payload: self.stock.encode(&level),
            headers: Some(headers),
            key,
        };
        [
            state(format!("event/{}", show.event_id), self.event.encode(&book)),
            stock,
        ]
    }

    /// The commands of a batch, and the partition's position behind them.
    pub(crate) fn end(&self, batch: &[Order], books: &Books<'_>) -> [Output; 2] {
        let effects = batch
            .iter()
            .map(|order| CommandEffect {
                command_id: order.command_id,
                order_id: order.id,
                attempt: 0,
                fingerprint: order.fingerprint.to_vec(),
            })
            .collect();
        let commands = RecentCommands {
            at: books.now.as_micros(),
            effects,
        };
        let position = PartitionPosition {
            owner: books.owner.to_owned(),
            next_offset: books.orders,
            last_time: books.now.as_micros(),
        };
        [
            state(
                format!("commands/{}", books.orders),
                self.commands.encode(&commands),
            ),
            state("position".to_owned(), self.position.encode(&position)),
        ]
    }
}

fn state(key: String, payload: Vec<u8>) -> Output {
    Output {
        topic: STATE.name,
        key,
        payload,
        headers: None,
    }
}

fn lines(show: &Show) -> Vec<OrderLine> {
    vec![OrderLine {
        ticket_type_id: show.ticket_type_id,
        quantity: 1,
        unit_price: money(),
        line_total: money(),
    }]
}

fn money() -> Money {
    Money {
        amount: PRICE,
        currency: CURRENCY.to_owned(),
    }
}

fn headers(id: Uuid, record_name: &str, subject: &str, time: Timestamp) -> OwnedHeaders {
    RecordHeaders {
        id,
        record_name,
        source: SOURCE,
        subject,
        time,
        traceparent: None,
    }
    .to_owned_headers()
}
