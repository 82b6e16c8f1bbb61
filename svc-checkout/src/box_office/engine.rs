//! The engine: drain commands, decide them on a desk, commit decision, state and position in one
//! transaction, take the batch over, hand it to the projector.
//!
//! One thread and one transactional producer for all partitions that the process owns.

mod batch;
mod commit;
mod fences;
mod incarnation;
mod membership;
mod recount;
mod stopped;
mod taking_over;
pub mod transaction;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::changelog::Changelog;
use super::projector::{Committed, Projection};
use super::takeover::ReaderPool;
use super::{EngineConfig, Shared};
use crate::domain::event_book::Inventory;
use fences::Fences;
use incarnation::{Exit, Incarnation};

/// A broken incarnation is followed by the next one after this time.
const REBUILD_AFTER: Duration = Duration::from_millis(500);

/// Everything that outlives an incarnation.
pub struct Engine {
    /// Settings.
    pub config: EngineConfig,
    /// Encoders.
    pub changelog: Changelog,
    /// What the rest of the process shares.
    pub shared: Shared,
    /// For takeovers.
    pub projection: Arc<Projection>,
    /// For takeovers.
    pub readers: Arc<ReaderPool>,
    /// Where committed batches go.
    pub committed: mpsc::Sender<Committed>,
    /// Newer inventory.
    pub inventory: Receiver<Arc<Inventory>>,
    /// Set once the group has given this member its share.
    pub joined: Arc<AtomicBool>,
    /// Asks the engine to hand over and end.
    pub stop: CancellationToken,
    /// For the few calls that are async.
    pub runtime: Handle,
}

impl Engine {
    /// Starts the engine's thread. It ends after `stop`, or when another process has taken its instance name: then this one
    /// should end. `alive` is dropped when the thread ends, also by a panic.
    pub fn spawn(self, alive: DropGuard) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name("box-office".into())
            .spawn(move || {
                let _alive = alive;
                self.run();
            })
    }

    fn run(self) {
        let readers = Arc::clone(&self.readers);
        // The group gives this member its share in a second or two.
        std::thread::spawn(move || {
            if let Err(error) = readers.warm_up() {
                tracing::warn!(%error, "the first takeover will find no client");
            }
        });
        // Else it would tell clients of events that there are no such events.
        let mut inventory = self.shared.inventory.caught_up().subscribe();
        self.runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                // The table outlives the engine.
                _ = inventory.wait_for(|caught_up| *caught_up) => {}
            }
        });
        let mut fences = Fences::default();
        while !self.stop.is_cancelled() {
            let exit = match Incarnation::new(&self) {
                Ok(incarnation) => incarnation.run(),
                Err(exit) => exit,
            };
            self.joined.store(false, Ordering::SeqCst);
            let reason = match exit {
                Exit::Stopped => return,
                Exit::Rebuild(reason) => reason,
                Exit::Fenced if !fences.is_by_rival(Instant::now()) => {
                    "the group says that another member has this instance name; it may have been this one"
                        .to_owned()
                }
                Exit::Fenced => {
                    // Joining again and again would fight the replacement for ever.
                    tracing::error!(
                        instance = self.config.instance_name,
                        "another process has this instance name: ending"
                    );
                    return;
                }
            };
            metrics::counter!("checkout_engine_rebuilds_total").increment(1);
            tracing::warn!(reason, "engine starts again");
            self.runtime.block_on(async {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(REBUILD_AFTER) => {}
                }
            });
        }
    }
}
