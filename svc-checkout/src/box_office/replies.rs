//! Answers from other instances: what they decided for clients that wait here.
//!
//! They come by checkout.replies, of which every instance reads all and keeps its own. A lost one costs time only: the waiter
//! reads the order by its id when its patience ends.

use std::sync::Arc;

use platform::avro::Registry;
use platform::kafka::watched::Watched;
use platform::kafka::{ReaderContext, client_config};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use schemas::Record as _;
use schemas::checkout::CommandReply;
use schemas::topics;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::EngineConfig;
use super::kafka::CALL_TIMEOUT;
use super::reply_records::{Heard, reply_in};
use super::waiters::{Reply, Waiters, Wish};
use crate::domain::command::Answer;
use crate::store::orders::OrderStore;

/// The topic has one partition.
const PARTITION: i32 = 0;
/// Rows of heard answers that are read at once.
const ROWS_AT_ONCE: usize = 64;

/// Hears the answers for this instance.
pub struct Replies {
    consumer: Watched<StreamConsumer<ReaderContext>>,
    instance: String,
    registry: Registry,
    waiters: Arc<Waiters>,
    orders: Arc<OrderStore>,
}

impl Replies {
    /// From now on: commands that are sent later are answered later. Blocks.
    pub fn open(
        config: &EngineConfig,
        registry: Registry,
        waiters: Arc<Waiters>,
        orders: Arc<OrderStore>,
    ) -> Result<Self, KafkaError> {
        let topic = topics::CHECKOUT_REPLIES.name;
        let consumer: StreamConsumer<ReaderContext> =
            client_config(&config.brokers, &config.instance_name)
                // The client wants a name even where no group is joined and nothing is committed.
                .set("group.id", format!("replies-{}", config.instance_name))
                .set("enable.auto.commit", "false")
                // What was deleted before it was read is of no use any more.
                .set("auto.offset.reset", "latest")
                .create_with_context(ReaderContext)?;
        let consumer = Watched::consumer(&config.brokers, consumer)?;
        let (_, end) = consumer.fetch_watermarks(topic, PARTITION, CALL_TIMEOUT)?;
        let mut from_now = TopicPartitionList::new();
        from_now.add_partition_offset(topic, PARTITION, Offset::Offset(end))?;
        consumer.assign(&from_now)?;
        Ok(Self {
            consumer,
            instance: config.instance_name.clone(),
            registry,
            waiters,
            orders,
        })
    }

    /// Hands answers to their waiters until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let room = Arc::new(Semaphore::new(ROWS_AT_ONCE));
        let follow = async {
            loop {
                let heard = match this.consumer.recv().await {
                    Ok(message) => this.hear(&message).await,
                    Err(error) => {
                        tracing::warn!(%error, "checkout.replies");
                        None
                    }
                };
                let Some((wish, heard)) = heard else {
                    continue;
                };
                // Never closed.
                let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                    return;
                };
                let this = Arc::clone(&this);
                tokio::spawn(async move {
                    if let Some(reply) = this.with_row(&wish, heard).await {
                        this.waiters.answer(&wish, &reply);
                    }
                    drop(place);
                });
            }
        };
        stop.run_until_cancelled(follow).await;
    }

    /// The answer in a record, if it is for this instance.
    async fn hear(&self, message: &BorrowedMessage<'_>) -> Option<(Wish, Heard)> {
        if message.key() != Some(self.instance.as_bytes()) {
            return None;
        }
        let opened = self.registry.open(message.payload()?).await;
        let read = opened.map_err(|error| error.to_string()).and_then(|datum| {
            let datum = datum.map_err(|error| error.to_string())?;
            if datum.name() != CommandReply::NAME {
                return Err(format!("{} is no reply", datum.name()));
            }
            let reply: CommandReply = datum.read().map_err(|error| error.to_string())?;
            Ok(reply_in(&reply).ok_or("not understood")?)
        });
        read.inspect_err(|error| {
            let offset = message.offset();
            tracing::error!(error, offset, "record of checkout.replies not readable");
        })
        .ok()
    }

    /// Adds the order that the answer is about. Its row was written before the answer was sent.
    async fn with_row(&self, wish: &Wish, heard: Heard) -> Option<Reply> {
        let (order_id, payment_id) = match heard {
            Heard::Decided(decided) => return Some(Reply::Decided(decided)),
            Heard::Order(order_id) => (order_id, None),
            Heard::PaymentStarted {
                order_id,
                payment_id,
            } => (order_id, Some(payment_id)),
        };
        match self.orders.find(order_id).await {
            Ok(Some(order)) => {
                let order = Arc::new(order);
                Some(Reply::Decided(Ok(match payment_id {
                    Some(payment_id) => Answer::PaymentStarted { order, payment_id },
                    None => Answer::Order(order),
                })))
            }
            Ok(None) => {
                tracing::error!(%order_id, command_id = %wish.command_id, "answered, and without a row");
                None
            }
            Err(error) => {
                tracing::warn!(%error, command_id = %wish.command_id, "row of a heard answer");
                None
            }
        }
    }
}
