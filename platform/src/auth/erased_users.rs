//! Whose access tokens are over before their time: those of erased users.
//!
//! Every instance reads the topic of the users itself, without a group, for each has to know of every erasure. It begins where
//! the oldest token began that may still be good, and keeps nothing but ids, for as long as such a token lives. While Kafka is
//! away, and until it has read what there was at its start, it knows less: the tokens end by themselves.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Verifier;
use super::verifier::REFUSED_FOR;
use crate::clock::Timestamp;
use crate::config::KafkaConfig;
use crate::kafka::watched::Watched;
use crate::kafka::{ReaderContext, client_config};

/// A broker that does not answer this long is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two such tries.
const PAUSE: Duration = Duration::from_secs(1);

type Users = Watched<StreamConsumer<ReaderContext>>;

/// Makes `verifier` refuse the tokens of whoever is erased, until `stop`. `topic` has the users by their ids, in partitions 0 to
/// `partitions - 1`; a tombstone is an erasure. A broker that is away is waited for.
pub async fn refuse_erased_users(
    kafka: KafkaConfig,
    topic: &'static str,
    partitions: i32,
    verifier: Arc<Verifier>,
    stop: CancellationToken,
) {
    let work = async {
        let consumer = loop {
            let brokers = kafka.brokers.clone();
            let opened = tokio::task::spawn_blocking(move || open(&brokers, topic, partitions));
            match opened.await {
                Ok(Ok(consumer)) => break consumer,
                Ok(Err(error)) => tracing::warn!(%error, topic, "erased users are not known yet"),
                Err(error) => tracing::error!(%error, topic, "erased users are not known yet"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        let mut complaint = None;
        loop {
            match consumer.recv().await {
                Ok(record) => {
                    complaint = None;
                    let key = std::str::from_utf8(record.key().unwrap_or_default());
                    let user_id = key.ok().and_then(|key| Uuid::parse_str(key).ok());
                    if let (None, Some(user_id)) = (record.payload(), user_id) {
                        verifier.refuse(user_id);
                    }
                }
                // The client reconnects by itself and says the same every second until it has.
                Err(error) if complaint.as_ref() == Some(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, topic, "erased users");
                    complaint = Some(error);
                }
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

/// From the first record on that was written when the oldest token was made that may still be good.
fn open(brokers: &str, topic: &str, partitions: i32) -> Result<Users, KafkaError> {
    let name = format!("erased-{topic}");
    let consumer: StreamConsumer<_> = client_config(brokers, &name)
        // The client wants a name even where no group is joined and nothing is committed.
        .set("group.id", &name)
        .set("enable.auto.commit", "false")
        // An offset that the broker has deleted meanwhile.
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "100")
        .create_with_context(ReaderContext)?;
    let consumer = Watched::consumer(brokers, consumer)?;
    let oldest = Timestamp::now().as_millis() - i64::try_from(REFUSED_FOR.as_millis()).unwrap_or(0);
    let mut times = TopicPartitionList::new();
    let mut ends = Vec::new();
    for partition in 0..partitions {
        // The end comes first: what is written after it is read, whatever the time of it.
        let (_, end) = consumer.fetch_watermarks(topic, partition, ANSWER_TIMEOUT)?;
        ends.push((partition, end));
        times.add_partition_offset(topic, partition, Offset::Offset(oldest))?;
    }
    let found = consumer.offsets_for_times(times, ANSWER_TIMEOUT)?;
    let mut from = TopicPartitionList::new();
    let mut records = 0;
    for (partition, end) in ends {
        let first = first(found.find_partition(topic, partition), oldest, end)?;
        records += end - first;
        from.add_partition_offset(topic, partition, Offset::Offset(first))?;
    }
    consumer.assign(&from)?;
    tracing::info!(topic, records, "reading who was erased lately");
    Ok(consumer)
}

/// Where to begin in a partition that ended at `end`, having asked for the time `oldest`.
///
/// The answer comes by partition: one broker of several may have failed, and the whole is no error.
fn first(
    found: Option<TopicPartitionListElem<'_>>,
    oldest: i64,
    end: i64,
) -> Result<i64, KafkaError> {
    let unanswered = KafkaError::OffsetFetch(RDKafkaErrorCode::OperationTimedOut);
    let found = found.ok_or_else(|| unanswered.clone())?;
    found.error()?;
    match found.offset() {
        // What was asked, and no answer.
        Offset::Offset(offset) if offset == oldest => Err(unanswered),
        Offset::Offset(offset) => Ok(offset.min(end)),
        // Nothing as young was there.
        Offset::End => Ok(end),
        _ => Err(unanswered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDEST: i64 = 1_790_000_000_000;

    fn begins(answer: Option<Offset>) -> Result<i64, KafkaError> {
        let mut found = TopicPartitionList::new();
        if let Some(offset) = answer {
            found
                .add_partition_offset("users", 0, offset)
                .expect("an offset");
        }
        first(found.find_partition("users", 0), OLDEST, 7)
    }

    #[test]
    fn it_begins_where_the_broker_says() {
        assert_eq!(begins(Some(Offset::Offset(3))), Ok(3));
        assert_eq!(begins(Some(Offset::End)), Ok(7));
        // Written after the end was asked for.
        assert_eq!(begins(Some(Offset::Offset(9))), Ok(7));
    }

    #[test]
    fn a_partition_without_an_answer_is_asked_again_and_not_passed_over() {
        for answer in [None, Some(Offset::Offset(OLDEST)), Some(Offset::Invalid)] {
            begins(answer).expect_err("erasures would be missed");
        }
    }
}
