//! The rows that the last owner had not written: read from the ledger, and written before anybody asks for them.

use std::collections::{HashMap, HashSet};
use std::iter;
use std::ops::Range;

use platform::avro::DecodeError;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;

use super::{Takeover, TakeoverError, read_to_end};
use crate::box_office::kafka::{CALL_TIMEOUT, Reader};
use crate::box_office::projector::fact_of;
use crate::domain::fact::Fact;

/// Facts whose rows are written together.
const FACTS_AT_ONCE: usize = 500;
/// Records whose rows may be missing without anybody having to wait longer than for the state: about a batch.
const SHORT_TAIL: i64 = 2_000;

impl Takeover {
    /// From where the rows are to be written; the beginning where nobody knows.
    pub(super) fn written_until(&self, consumer: &Reader) -> Result<Written, TakeoverError> {
        let mut list = TopicPartitionList::new();
        for topic in LEDGER {
            for &id in &self.partitions {
                list.add_partition(topic, id);
            }
        }
        let known = consumer.committed_offsets(list, CALL_TIMEOUT)?;
        let mut written = Written::new();
        for topic in LEDGER {
            for &id in &self.partitions {
                let told = known.find_partition(topic, id).map(|it| it.offset());
                let (first, end) = consumer.fetch_watermarks(topic, id, CALL_TIMEOUT)?;
                let from = match told {
                    Some(Offset::Offset(next)) => next,
                    _ => first,
                };
                written.insert((topic, id), from..end);
            }
        }
        Ok(written)
    }

    /// Writes the rows of what was committed and may not be in the tables yet.
    ///
    /// However long it takes: after the offsets were lost it is the whole ledger. How far it came is told as it goes, so
    /// that nobody begins at the first record again. Returns the partitions in which a schema id is unknown: there it ends
    /// before that record, whose row would else be missing for ever.
    pub(super) fn project_tail(
        &self,
        consumer: &Reader,
        partitions: &[i32],
        written: &Written,
    ) -> Result<HashMap<i32, u32>, TakeoverError> {
        let mut unknown = HashMap::new();
        for topic in LEDGER {
            let from: HashMap<i32, Offset> = partitions
                .iter()
                .map(|id| (*id, Offset::Offset(written[&(topic, *id)].start)))
                .collect();
            let mut tail = Tail::default();
            let mut stuck = HashSet::new();
            let go_on = || self.go_on(None);
            read_to_end(consumer, topic, &from, go_on, |message| {
                let partition = message.partition();
                if stuck.contains(&partition) {
                    return Ok(());
                }
                let opened = message.payload().map(|payload| self.open(payload));
                let opened = opened.transpose()?;
                if let Some(Err(DecodeError::UnknownSchema(schema))) = opened {
                    stuck.insert(partition);
                    unknown.insert(partition, schema);
                    return Ok(());
                }
                tail.next.insert(partition, message.offset() + 1);
                match opened {
                    None => {}
                    Some(Ok(datum)) => tail.facts.extend(fact_of(&datum)),
                    Some(Err(error)) => tracing::error!(
                        topic,
                        partition,
                        offset = message.offset(),
                        %error,
                        "ledger record not readable"
                    ),
                }
                if tail.facts.len() >= FACTS_AT_ONCE {
                    self.write(consumer, topic, &mut tail)?;
                }
                Ok(())
            })?;
            self.write(consumer, topic, &mut tail)?;
        }
        Ok(unknown)
    }

    fn write(&self, consumer: &Reader, topic: &str, tail: &mut Tail) -> Result<(), TakeoverError> {
        let facts = std::mem::take(&mut tail.facts);
        let written = self.projection.write(facts.iter().collect());
        // While the database is away it has no end. Half of it is as good as twice: rows are the same whoever writes them.
        self.runtime
            .block_on(self.given_up.run_until_cancelled(written))
            .ok_or(TakeoverError::GivenUp)?;
        let mut list = TopicPartitionList::new();
        for (partition, next) in tail.next.drain() {
            list.add_partition_offset(topic, partition, Offset::Offset(next))?;
        }
        if list.count() > 0
            && let Err(error) = consumer.commit(&list, CommitMode::Sync)
        {
            // The next owner writes the same rows again.
            tracing::warn!(%error, topic, "projection offsets not committed");
        }
        Ok(())
    }
}

/// What of the ledger may not be in the tables, on its way there.
#[derive(Default)]
struct Tail {
    facts: Vec<Fact>,
    /// First offset by partition that was not read yet.
    next: HashMap<i32, i64>,
}

/// What of the ledger is to be read, by topic and partition: from the first record whose row may be missing to the end.
pub(super) type Written = HashMap<(&'static str, i32), Range<i64>>;

/// What is told together: first the partitions whose ledger is written but for a short tail, then each of the others.
pub(super) fn portions(partitions: &[i32], written: &Written) -> impl Iterator<Item = Vec<i32>> {
    let is_far = |id: i32| {
        LEDGER.iter().any(|topic| {
            let unwritten = &written[&(*topic, id)];
            unwritten.end - unwritten.start > SHORT_TAIL
        })
    };
    let (far, near): (Vec<i32>, Vec<i32>) = partitions.iter().partition(|id| is_far(**id));
    iter::once(near).chain(far.into_iter().map(|id| vec![id]))
}

/// Topics whose records become rows.
pub(super) const LEDGER: [&str; 2] = [topics::CHECKOUT_ORDERS.name, topics::CHECKOUT_PAYMENTS.name];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_its_whole_ledger_to_write_holds_nobody_else_up() {
        let [orders, payments] = LEDGER;
        let at = |topic, id, unwritten| ((topic, id), unwritten);
        let written = Written::from([
            at(orders, 1, 7..9),
            at(payments, 1, 0..0),
            at(orders, 2, 7..7),
            // Nobody knows, or somebody began and did not come far.
            at(payments, 2, 0..5_000_000),
            at(orders, 3, 500..5_000_000),
            at(payments, 3, 0..3),
            at(orders, 4, 5_000_000..5_000_000 + SHORT_TAIL),
            at(payments, 4, 3..4),
        ]);
        let told = |partitions: &[i32]| portions(partitions, &written).collect::<Vec<_>>();
        assert_eq!(told(&[1, 2, 3, 4]), [vec![1, 4], vec![2], vec![3]]);
        // The first is told all the same: the group waits for it.
        assert_eq!(told(&[3]), [vec![], vec![3]]);
    }
}
