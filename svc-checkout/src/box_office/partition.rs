//! One partition in the hands of this engine.

use std::collections::VecDeque;
use std::time::Duration;

use platform::clock::Timestamp;
use uuid::Uuid;

use crate::domain::books::{Books, Changes};

/// Batches of remembered commands that one transaction forgets, at most.
const FORGET_PER_BATCH: usize = 100;

/// The books of a partition and where it stands.
#[derive(Debug, Default)]
pub struct Partition {
    /// Everything known of its events.
    pub books: Books,
    /// Next offset of checkout.commands to decide.
    pub position: i64,
    /// Last recorded time; time never runs backwards.
    pub last_time: Timestamp,
    /// Remembered commands by batch, oldest first.
    pub remembered: VecDeque<RememberedBatch>,
}

/// The commands of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedBatch {
    /// Key in checkout.state.
    pub key: String,
    /// When they were decided.
    pub at: Timestamp,
    /// The commands.
    pub commands: Vec<Uuid>,
}

impl Partition {
    /// The time of the next decision.
    pub fn now(&self, clock: Timestamp) -> Timestamp {
        clock.max(self.last_time)
    }

    /// Keys of batches whose window has passed.
    pub fn forgettable(&self, now: Timestamp, remember_for: Duration) -> Vec<String> {
        self.remembered
            .iter()
            .take_while(|batch| batch.at + remember_for < now)
            .take(FORGET_PER_BATCH)
            .map(|batch| batch.key.clone())
            .collect()
    }

    /// Takes a committed batch over.
    pub fn commit(
        &mut self,
        changes: Changes,
        position: i64,
        now: Timestamp,
        remembered: Option<RememberedBatch>,
        forgotten: usize,
    ) {
        self.books.merge(changes);
        self.position = position;
        self.last_time = now;
        for batch in self.remembered.drain(..forgotten) {
            self.books.forget_effects(batch.commands);
        }
        self.remembered.extend(remembered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let mut partition = Partition::default();
        let (early, late) = (Timestamp::from_seconds(10), Timestamp::from_seconds(20));
        assert_eq!(partition.now(late), late);
        partition.commit(Changes::default(), 1, late, None, 0);
        // The next owner's clock may be behind that of the last one.
        assert_eq!(partition.now(early), late);
    }
}
