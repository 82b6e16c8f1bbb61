//! The box office: one engine per process that owns some partitions and alone decides about the
//! stock of the events in them.
//!
//! The way of a command: [`client`] puts it on checkout.commands and waits; [`engine`] decides it
//! in memory and commits decision, state and position in one transaction ([`changelog`]);
//! [`projector`] writes the rows; then the waiter is answered, at another instance by [`replies`]. [`takeover`] rebuilds the books
//! of a partition that came from another owner. docs/BOX_OFFICE.md names the hole that each step
//! closes.

pub mod changelog;
pub mod client;
pub mod command_records;
pub mod commands;
pub mod engine;
pub mod inventory;
pub mod kafka;
pub mod memory;
pub mod partition;
pub mod projector;
pub mod records;
pub mod replies;
pub mod reply_records;
pub mod sold_out;
pub mod state_records;
pub mod takeover;
pub mod voucher_records;
pub mod vouchers;
pub mod waiters;
pub mod worklist;

use std::sync::Arc;
use std::time::Duration;

use platform::avro::Registry;

use inventory::InventoryTable;
use memory::Memory;
use waiters::Waiters;
use worklist::Worklist;

/// Consumer group of the engines.
pub const GROUP: &str = "svc-checkout";
/// Group whose offsets say how far orders and payments are in the tables. Nobody joins it.
pub const PROJECTION_GROUP: &str = "svc-checkout-projection";

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Kafka.
    pub brokers: String,
    /// Partitions of every topic by event.
    pub event_partitions: i32,
    /// Static member of the group, and the stem of the transactional id.
    pub instance_name: String,
    /// How long a hold lasts.
    pub hold_for: Duration,
    /// How long a command that had an effect is remembered.
    pub remember_for: Duration,
    /// Commands decided in one transaction, at most.
    pub max_batch: usize,
}

/// What the engine shares with the rest of the process.
#[derive(Clone)]
pub struct Shared {
    /// Requests that wait for an answer.
    pub waiters: Arc<Waiters>,
    /// What the payment jobs have to do.
    pub worklist: Arc<Worklist>,
    /// Which commands are remembered.
    pub memory: Arc<Memory>,
    /// The catalog's inventory.
    pub inventory: Arc<InventoryTable>,
    /// Schemas.
    pub registry: Registry,
}

impl Shared {
    /// Another engine looks after this partition now.
    fn drop_partition(&self, partition: i32) {
        self.worklist.drop_partition(partition);
        self.memory.drop_partition(partition);
    }
}
