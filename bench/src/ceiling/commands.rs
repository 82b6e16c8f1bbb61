//! The first record of an order: the wish, which the broker must have before anything else happens.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use platform::clock::Timestamp;
use platform::config::KafkaConfig;
use platform::kafka::client_config;
use platform::kafka::headers::RecordHeaders;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext, ThreadedProducer};
use schemas::Record as _;
use schemas::checkout::PlaceOrder;

use crate::kafka::CLIENT_ID;
use crate::order::Order;
use crate::place::COMMANDS;
use crate::records::{Encoders, SOURCE};

/// As long as a real one.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Hands an order on when the broker has its command.
struct HandOn(Vec<Sender<Order>>);

impl ClientContext for HandOn {}

impl ProducerContext<NoCustomPartitioner> for HandOn {
    type DeliveryOpaque = Box<Order>;

    fn delivery(&self, result: &DeliveryResult<'_>, order: Box<Order>) {
        match result {
            // Nobody there: the ledger has failed and says so itself.
            Ok(_) => {
                let partition = usize::try_from(order.show.partition).unwrap_or(0);
                drop(self.0[partition % self.0.len()].send(*order));
            }
            Err((error, _)) => eprintln!("ceiling: command not delivered: {error}"),
        }
    }
}

/// Sends commands.
pub(crate) struct Commands {
    producer: ThreadedProducer<HandOn>,
    encoders: Arc<Encoders>,
}

impl Commands {
    /// Orders go to `ledgers` once their command is on the topic: there is one for all partitions, or one for each.
    pub(crate) fn new(
        config: &KafkaConfig,
        encoders: Arc<Encoders>,
        ledgers: Vec<Sender<Order>>,
    ) -> Result<Self, KafkaError> {
        // The settings of svc-checkout's box_office/client.rs, one by one: with others this would not be what a client like
        // ours can reach.
        let producer = client_config(&config.brokers, CLIENT_ID)
            // The service knows a command that a retry wrote twice by its id. With idempotence librdkafka holds back what
            // follows more than five unanswered messages of a partition, and its thread spins meanwhile.
            .set("enable.idempotence", "false")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("max.in.flight.requests.per.connection", "1")
            .set("delivery.timeout.ms", "5000")
            .create_with_context(HandOn(ledgers))?;
        Ok(Self { producer, encoders })
    }

    /// Sends the command of an order.
    pub(crate) fn send(&self, order: Order) -> Result<(), KafkaError> {
        let payload = self.encoders.command(&order);
        let key = order.show.event_id.to_string();
        let headers = RecordHeaders {
            id: order.command_id,
            record_name: PlaceOrder::NAME,
            source: SOURCE,
            subject: &key,
            time: Timestamp::now(),
            traceparent: Some(TRACEPARENT),
        };
        let partition = order.show.partition;
        let record = BaseRecord::with_opaque_to(COMMANDS.name, Box::new(order))
            .partition(partition)
            .key(&key)
            .payload(&payload)
            .headers(headers.to_owned_headers());
        self.producer.send(record).map_err(|(error, _)| error)
    }
}
