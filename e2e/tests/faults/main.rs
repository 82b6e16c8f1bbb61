//! svc-checkout is stopped, killed and frozen while buyers order. No order that was answered is lost, none is made
//! twice, and the stock adds up. And the signing key rotates, and nothing is done without an entry in the audit trail.

mod audit_trail;
mod cancelled_event;
mod crowd;
mod damage;
mod frozen_log;
mod holes;
mod key_rotation;
mod load;
mod one_instance;
mod restart;
mod sharing;
mod slow_provider;
mod two_instances;
mod vouchers;

use e2e::control::stack_command;
use tokio::sync::Mutex;

/// Tests that do something to svc-checkout or to Kafka take turns.
static TURN: Mutex<()> = Mutex::const_new(());
