//! svc-checkout is stopped, killed and frozen while buyers order. No order that was answered is lost, none is made
//! twice, and the stock adds up.

mod cancelled_event;
mod crowd;
mod holes;
mod load;
mod one_instance;
mod two_instances;

use e2e::control::stack_command;
use tokio::sync::Mutex;

/// All tests here do something to svc-checkout: they take turns.
static TURN: Mutex<()> = Mutex::const_new(());
