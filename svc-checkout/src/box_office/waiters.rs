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

#[cfg(test)]
mod tests {
    use super::*;
    use platform::ids::new_id;

    fn wish() -> Wish {
        Wish {
            command_id: new_id(),
            fingerprint: Fingerprint::default(),
        }
    }

    #[test]
    fn so_many_wait_and_whoever_gives_up_makes_room() {
        let waiters = Waiters::default();
        let mut waiting: Vec<(Wish, Place)> = (0..MAX_WAITING)
            .map(|_| {
                let wish = wish();
                (wish, waiters.wait(wish))
            })
            .collect();
        let all_first = waiting
            .iter()
            .all(|(_, place)| matches!(place, Place::First(_)));
        assert!(all_first);
        assert!(matches!(waiters.wait(wish()), Place::Full));
        // A repeat takes no room.
        let (again, _) = waiting[0];
        assert!(matches!(waiters.wait(again), Place::Joined(_)));

        let (gone, place) = waiting.remove(1);
        drop(place);
        let Place::First(receiver) = waiters.wait(wish()) else {
            panic!("no room was made");
        };
        assert!(matches!(waiters.wait(gone), Place::Full));
        drop(receiver);
        waiters.answer(&again, &Reply::NotSent);
        assert_eq!(waiters.len(), MAX_WAITING - 1);
    }

    #[tokio::test]
    async fn an_answer_is_everybodys_who_waits_for_it() {
        let waiters = Waiters::default();
        let wanted = wish();
        let (first, second) = (waiters.wait(wanted), waiters.wait(wanted));
        let (Place::First(first), Place::Joined(second)) = (first, second) else {
            panic!("the second joins the first");
        };
        // The same key with another body is another wish.
        let other = Wish {
            fingerprint: [1; 32],
            ..wanted
        };
        let Place::First(mut other) = waiters.wait(other) else {
            panic!("another body waits for itself");
        };
        waiters.answer(&wanted, &Reply::NotSent);
        for receiver in [first, second] {
            assert!(matches!(receiver.await, Ok(Reply::NotSent)));
        }
        assert!(other.try_recv().is_err());
    }
}
