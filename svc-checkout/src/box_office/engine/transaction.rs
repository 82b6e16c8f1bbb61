//! One batch, one transaction.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;

use crate::box_office::changelog::{DEAD_TOPIC, Output};
use crate::box_office::kafka::{CALL_TIMEOUT, TransactionalProducer};

/// Between two looks whether all records have arrived: short against a transaction of some milliseconds.
const DELIVERY_LOOK: Duration = Duration::from_micros(200);

/// How a transaction failed.
#[derive(Debug)]
pub enum Failure {
    /// Nothing of it will be seen: abort, and decide the batch again.
    Abort(String),
    /// Its end is unknown, or the producer or the membership is broken: start again.
    Rebuild(String),
    /// Another member has the instance name: another process, or this one after it had to join anew.
    Fenced,
}

/// What a transaction does in one partition.
pub struct Writes {
    /// Records.
    pub outputs: Vec<Output>,
    /// Next offset of checkout.commands.
    pub position: i64,
}

fn classify(what: &str, error: &KafkaError) -> Failure {
    let text = format!("{what}: {error}");
    if let KafkaError::Transaction(inner) = error {
        return match inner.code() {
            RDKafkaErrorCode::FencedInstanceId => Failure::Fenced,
            RDKafkaErrorCode::UnknownMemberId => Failure::Rebuild(text),
            _ if inner.is_fatal() => Failure::Rebuild(text),
            _ if inner.txn_requires_abort() => Failure::Abort(text),
            // A timed-out commit above all: it may have happened.
            _ => Failure::Rebuild(text),
        };
    }
    Failure::Rebuild(text)
}

/// Writes all partitions of a batch and commits. Returns the last offsets of the ledger topics.
///
/// `group` was taken before the first decision of the batch. **Every** transaction sends the
/// position of every partition that it writes to, also when no command was consumed: without
/// offsets the transaction of an engine that lost its partitions is not checked, and was seen
/// to commit. (`None` is [`crate::planted::Bug::NoOffsetsInExpiry`].)
pub fn commit(
    producer: &TransactionalProducer,
    group: Option<&ConsumerGroupMetadata>,
    writes: &BTreeMap<i32, Writes>,
) -> Result<HashMap<(&'static str, i32), i64>, Failure> {
    let started = Instant::now();
    producer
        .begin_transaction()
        .map_err(|error| classify("begin", &error))?;
    let mut offsets = TopicPartitionList::new();
    for (&partition, write) in writes {
        for output in &write.outputs {
            produce(producer, partition, output, started)?;
        }
        offsets
            .add_partition_offset(
                topics::CHECKOUT_COMMANDS.name,
                partition,
                Offset::Offset(write.position),
            )
            .map_err(|error| classify("offsets", &error))?;
    }
    // Deliveries before offsets: then a batch whose offsets passed the generation check lies
    // below the high watermark that a successor reads. (Also `commit_transaction` would poll
    // 100 ms at a time while something is in flight.)
    while producer.in_flight_count() > 0 {
        if started.elapsed() > CALL_TIMEOUT {
            return Err(Failure::Abort("deliveries took too long".into()));
        }
        serve_deliveries(producer);
    }
    let ledger = producer
        .context()
        .take()
        .map_err(|error| Failure::Abort(format!("delivery: {error}")))?;
    if let Some(group) = group {
        producer
            .send_offsets_to_transaction(&offsets, group, CALL_TIMEOUT)
            .map_err(|error| classify("send offsets", &error))?;
    }
    producer
        .commit_transaction(CALL_TIMEOUT)
        .map_err(|error| classify("commit", &error))?;
    metrics::histogram!("checkout_transaction_seconds").record(started.elapsed().as_secs_f64());
    Ok(ledger)
}

/// Ends what [`commit`] has begun, so that nothing of it is ever seen.
pub fn abort(producer: &TransactionalProducer) -> Result<(), KafkaError> {
    producer.abort_transaction(CALL_TIMEOUT)?;
    // What aborted deliveries reported is void.
    let _ = producer.context().take();
    Ok(())
}

/// Takes the deliveries that have come and leaves the client a moment for more.
fn serve_deliveries(producer: &TransactionalProducer) {
    // Not `poll(1 ms)`: it waits in whole milliseconds and spins through what is left, here all of it.
    producer.poll(Duration::ZERO);
    std::thread::sleep(DELIVERY_LOOK);
}

fn produce(
    producer: &TransactionalProducer,
    partition: i32,
    output: &Output,
    started: Instant,
) -> Result<(), Failure> {
    // Dead letter topics have one partition.
    let partition = if output.topic == DEAD_TOPIC {
        0
    } else {
        partition
    };
    let mut record = BaseRecord::to(output.topic)
        .partition(partition)
        .key(output.key.as_str());
    if let Some(payload) = &output.payload {
        record = record.payload(payload.as_slice());
    }
    if let Some(headers) = &output.headers {
        record = record.headers(headers.clone());
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if started.elapsed() < CALL_TIMEOUT =>
            {
                serve_deliveries(producer);
                record = back;
            }
            Err((error, _)) => return Err(Failure::Abort(format!("produce: {error}"))),
        }
    }
}
