//! How far the rows are is known from offsets of a group that nobody joins, and Kafka drops such offsets when they were
//! not committed for a week (`offsets.retention.minutes`). A partition that has sold nothing for so long would have all
//! its rows written again by its next owner, and would sell nothing until then. So what stands still is committed again.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_PAYMENTS};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::box_office::kafka::{CALL_TIMEOUT, Reader};

/// 28 times within the week that Kafka keeps them by default.
const EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// What has not moved for so long stands still. The owner of a partition in which something is sold commits every second.
const STILL_FOR: Duration = Duration::from_secs(60);

/// Commits again at the start and every six hours, also for partitions that other instances own or nobody does. Only
/// where nothing was told for a minute: an owner that tells more in the very moment of the commit is set back by it, and
/// then its next word, or the next owner, which writes these rows once more, mends it.
pub async fn run(
    reader: Reader,
    partitions: i32,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    let reader = Arc::new(reader);
    let mut tick = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let before = with(&reader, move |reader| committed(reader, partitions)).await?;
        let pause = tokio::time::sleep(STILL_FOR);
        if stop.run_until_cancelled(pause).await.is_none() {
            break;
        }
        let kept = with(&reader, move |reader| {
            let again = unmoved(&before?, &committed(reader, partitions)?)?;
            if again.count() > 0 {
                reader.commit(&again, CommitMode::Sync)?;
            }
            Ok(again.count())
        });
        match kept.await? {
            Ok(kept) => tracing::debug!(kept, "projection offsets committed again"),
            Err(error) => tracing::warn!(%error, "projection offsets not committed again"),
        }
    }
    Ok(())
}

/// The client's calls block.
async fn with<T: Send + 'static>(
    reader: &Arc<Reader>,
    call: impl FnOnce(&Reader) -> Result<T, KafkaError> + Send + 'static,
) -> Result<Result<T, KafkaError>, JoinError> {
    let reader = Arc::clone(reader);
    tokio::task::spawn_blocking(move || call(&reader)).await
}

/// What is committed in the reader's group.
fn committed(reader: &Reader, partitions: i32) -> Result<TopicPartitionList, KafkaError> {
    let mut asked = TopicPartitionList::new();
    for topic in [CHECKOUT_ORDERS.name, CHECKOUT_PAYMENTS.name] {
        asked.add_partition_range(topic, 0, partitions - 1);
    }
    reader.committed_offsets(asked, CALL_TIMEOUT)
}

/// The offsets that are the same now as before.
fn unmoved(
    before: &TopicPartitionList,
    now: &TopicPartitionList,
) -> Result<TopicPartitionList, KafkaError> {
    let mut again = TopicPartitionList::new();
    for known in now.elements() {
        let (topic, partition, offset) = (known.topic(), known.partition(), known.offset());
        let was = before.find_partition(topic, partition);
        if matches!(offset, Offset::Offset(_)) && was.is_some_and(|was| was.offset() == offset) {
            again.add_partition_offset(topic, partition, offset)?;
        }
    }
    Ok(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(offsets: &[Offset]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(offsets) {
            list.add_partition_offset(CHECKOUT_ORDERS.name, partition, *offset)
                .expect("an offset");
        }
        list
    }

    #[test]
    fn only_what_stands_still_is_committed_again() {
        let before = list(&[
            Offset::Offset(5),
            Offset::Offset(5),
            Offset::Invalid,
            Offset::Invalid,
        ]);
        let now = list(&[
            Offset::Offset(5),
            Offset::Offset(6),
            Offset::Offset(1),
            Offset::Invalid,
            Offset::Offset(9),
        ]);
        let again = unmoved(&before, &now).expect("a list");
        let again: Vec<_> = again
            .elements()
            .iter()
            .map(|element| (element.partition(), element.offset()))
            .collect();
        assert_eq!(again, [(0, Offset::Offset(5))]);
    }
}
