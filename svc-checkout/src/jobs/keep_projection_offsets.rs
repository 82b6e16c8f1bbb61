//! How far the rows are is known from offsets of a group that nobody joins, and Kafka drops such offsets when they were
//! not committed for a week (`offsets.retention.minutes`). A partition that has sold nothing for so long would have all
//! its rows written again by its next owner, and would sell nothing until then. So what is committed is committed again.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_PAYMENTS};
use tokio_util::sync::CancellationToken;

use crate::box_office::kafka::{CALL_TIMEOUT, Reader};

/// 28 times within the week that Kafka keeps them by default.
const EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// Commits again every six hours, also for partitions that other instances own: what one of them commits in the same
/// moment may be lost, and then some rows are written twice.
pub async fn run(reader: Reader, partitions: i32, stop: CancellationToken) {
    let reader = Arc::new(reader);
    let mut tick = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let reader = Arc::clone(&reader);
        match tokio::task::spawn_blocking(move || keep(&reader, partitions)).await {
            Ok(Ok(kept)) => tracing::debug!(kept, "projection offsets committed again"),
            Ok(Err(error)) => tracing::warn!(%error, "projection offsets not committed again"),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Commits again what is committed in the reader's group; the number of offsets.
pub fn keep(reader: &Reader, partitions: i32) -> Result<usize, KafkaError> {
    let mut asked = TopicPartitionList::new();
    for topic in [CHECKOUT_ORDERS.name, CHECKOUT_PAYMENTS.name] {
        asked.add_partition_range(topic, 0, partitions - 1);
    }
    let committed = reader.committed_offsets(asked, CALL_TIMEOUT)?;
    let mut again = TopicPartitionList::new();
    for known in committed.elements() {
        if let Offset::Offset(next) = known.offset() {
            again.add_partition_offset(known.topic(), known.partition(), Offset::Offset(next))?;
        }
    }
    if again.count() > 0 {
        reader.commit(&again, CommitMode::Sync)?;
    }
    Ok(again.count())
}
