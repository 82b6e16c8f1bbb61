//! Requests that wait for the answer to a command.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::domain::command::{Answer, Refusal};

/// Commands that wait at one instance, at most; the surplus is told to come back.
pub const MAX_WAITING: usize = 2048;

/// What a waiter is told.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Decided, and in the tables.
    Decided(Result<Answer, Refusal>),
    /// The command did not get to the broker.
    NotSent,
}

/// Every waiting request, by command.
#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<HashMap<Uuid, Vec<oneshot::Sender<Reply>>>>,
}

/// A place among the waiters.
pub enum Place {
    /// Nobody waits for this command yet: send it.
    First(oneshot::Receiver<Reply>),
    /// The same command is on its way: its answer is ours too.
    Joined(oneshot::Receiver<Reply>),
    /// No room.
    Full,
}

impl Waiters {
    /// Waits for a command.
    pub fn wait(&self, command_id: Uuid) -> Place {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(others) = waiting.get_mut(&command_id) {
            // Those that gave up leave their end closed.
            others.retain(|other| !other.is_closed());
            others.push(sender);
            return Place::Joined(receiver);
        }
        if waiting.len() >= MAX_WAITING {
            waiting.retain(|_, senders| senders.iter().any(|sender| !sender.is_closed()));
            if waiting.len() >= MAX_WAITING {
                return Place::Full;
            }
        }
        waiting.insert(command_id, vec![sender]);
        Place::First(receiver)
    }

    /// Answers everybody who waits for a command. Nobody may: the command was another
    /// instance's, or its client has gone.
    pub fn answer(&self, command_id: Uuid, reply: &Reply) {
        let senders = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.remove(&command_id)
        };
        for sender in senders.into_iter().flatten() {
            // A receiver that has gone timed out; it reads the order by its id.
            let _ = sender.send(reply.clone());
        }
    }

    /// Commands that are waited for.
    pub fn len(&self) -> usize {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
