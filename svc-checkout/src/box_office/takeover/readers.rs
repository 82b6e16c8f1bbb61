//! The clients that takeovers read with. They are kept from one to the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;

use super::TRANSACTED;
use super::tail::LEDGER;
use crate::box_office::EngineConfig;
use crate::box_office::kafka::{CALL_TIMEOUT, Reader, reader};

/// One of each isolation. Whoever has them is alone with them.
pub(super) struct Readers {
    pub(super) committed: Reader,
    /// A read_committed client that asks for the end of a partition is told the stable offset instead.
    pub(super) uncommitted: Reader,
}

/// Those that nobody uses now. A new client takes most of a second until it knows its brokers, the topics and who keeps the
/// offsets of its group, and as long nobody sells what is being taken over.
pub struct ReaderPool {
    config: EngineConfig,
    free: Mutex<Vec<Readers>>,
}

impl ReaderPool {
    /// Without any: they are made when they are wanted.
    pub fn new(config: EngineConfig) -> Self {
        Self {
            config,
            free: Mutex::default(),
        }
    }

    /// Makes some and has them ask for all that a takeover asks for. Blocks.
    pub fn warm_up(&self) -> Result<(), KafkaError> {
        let readers = self.take()?;
        let mut list = TopicPartitionList::new();
        for topic in LEDGER {
            list.add_partition(topic, 0);
        }
        readers.committed.committed_offsets(list, CALL_TIMEOUT)?;
        for reader in [&readers.committed, &readers.uncommitted] {
            for topic in TRANSACTED {
                reader.fetch_watermarks(topic, 0, CALL_TIMEOUT)?;
            }
        }
        self.put_back(readers);
        Ok(())
    }

    pub(super) fn take(&self) -> Result<Readers, KafkaError> {
        let free = self.free().pop();
        match free {
            Some(readers) => Ok(readers),
            None => Ok(Readers {
                committed: reader(&self.config, "read_committed")?,
                uncommitted: reader(&self.config, "read_uncommitted")?,
            }),
        }
    }

    /// For the next takeover. Those that met an error are better dropped.
    pub(super) fn put_back(&self, readers: Readers) {
        self.free().push(readers);
    }

    fn free(&self) -> MutexGuard<'_, Vec<Readers>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
