//! Requests that wait for the answer to a command.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::domain::command::{Answer, Command, Refusal};
use crate::domain::order::Fingerprint;

/// Commands that wait at one instance, at most; the surplus is told to come back.
pub const MAX_WAITING: usize = 2048;

/// What a request waits for: a command, and the body that it came with. The same key with another body is another
/// wish, and has another answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wish {
    /// The command.
    pub command_id: Uuid,
    /// The body.
    pub fingerprint: Fingerprint,
}

impl Wish {
    /// What a command asks for.
    pub fn of(command: &Command) -> Self {
        Self {
            command_id: command.id(),
            fingerprint: command.fingerprint(),
        }
    }
}

/// What a waiter is told.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Decided, and in the tables.
    Decided(Result<Answer, Refusal>),
    /// The command did not get to the broker.
    NotSent,
}

/// Every waiting request.
#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<HashMap<Wish, Vec<oneshot::Sender<Reply>>>>,
}

/// A place among the waiters.
pub enum Place {
    /// Nobody waits for this yet: send the command.
    First(oneshot::Receiver<Reply>),
    /// The same command is on its way: its answer is ours too.
    Joined(oneshot::Receiver<Reply>),
    /// No room.
    Full,
}

impl Waiters {
    /// Waits for an answer.
    pub fn wait(&self, wish: Wish) -> Place {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(others) = waiting.get_mut(&wish) {
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
        waiting.insert(wish, vec![sender]);
        Place::First(receiver)
    }

    /// Answers everybody who waits for this. Nobody may: its clients have gone.
    pub fn answer(&self, wish: &Wish, reply: &Reply) {
        let senders = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.remove(wish)
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
