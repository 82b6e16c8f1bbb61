//! Requests that wait for the answer to a command.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::domain::command::{Answer, Command, Refusal};
use crate::domain::order::Fingerprint;

/// Commands that wait at one instance, at most; the surplus is told to come back. Those of money that has moved do not
/// count: see [`Room`].
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
    /// The broker did not say in time that it has the command. It may have it.
    NotAcknowledged,
}

/// Which room a command waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// What people want: [`MAX_WAITING`] places.
    Wishes,
    /// What tells of money that was taken or given back. It is never turned away: there is not more of it than of payments
    /// that were let in and of what the jobs ask for at once, and a flood of orders must not keep a paid one from its tickets.
    Money,
}

impl Room {
    /// The room of a command.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::SettlePayment(_) | Command::SettleRefund(_) => Room::Money,
            Command::PlaceOrder(_)
            | Command::StartPayment(_)
            | Command::CancelOrder(_)
            | Command::RefundOrder(_)
            | Command::ReleaseTicket(_)
            | Command::LowerQuantities(_) => Room::Wishes,
        }
    }
}

type Waiting = HashMap<Wish, Vec<oneshot::Sender<Reply>>>;

#[derive(Default)]
struct Rooms {
    wishes: Waiting,
    money: Waiting,
}

/// Every waiting request.
#[derive(Default)]
pub struct Waiters {
    rooms: Mutex<Rooms>,
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
    pub fn wait(&self, wish: Wish, room: Room) -> Place {
        let (sender, receiver) = oneshot::channel();
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = match room {
            Room::Wishes => &mut rooms.wishes,
            Room::Money => &mut rooms.money,
        };
        if let Some(others) = waiting.get_mut(&wish) {
            // Those that gave up leave their end closed. Where all of them did, nobody knows what became of their command,
            // or of its answer: it is sent again, for it has one effect however often it comes.
            others.retain(|other| !other.is_closed());
            let is_first = others.is_empty();
            others.push(sender);
            return if is_first {
                Place::First(receiver)
            } else {
                Place::Joined(receiver)
            };
        }
        if room == Room::Wishes && waiting.len() >= MAX_WAITING {
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
            let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            let of_money = rooms.money.remove(wish);
            of_money.or_else(|| rooms.wishes.remove(wish))
        };
        for sender in senders.into_iter().flatten() {
            // A receiver that has gone timed out; it reads the order by its id.
            let _ = sender.send(reply.clone());
        }
    }

    /// Commands that are waited for, and count.
    pub fn len(&self) -> usize {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.wishes.len()
    }

    /// Whether nobody waits who counts.
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
                (wish, waiters.wait(wish, Room::Wishes))
            })
            .collect();
        let all_first = waiting
            .iter()
            .all(|(_, place)| matches!(place, Place::First(_)));
        assert!(all_first);
        assert!(matches!(waiters.wait(wish(), Room::Wishes), Place::Full));
        // Money that was taken is told of however many want tickets, and takes no place from them.
        let money = wish();
        let of_money = waiters.wait(money, Room::Money);
        assert!(matches!(of_money, Place::First(_)));
        assert!(matches!(waiters.wait(money, Room::Money), Place::Joined(_)));
        assert_eq!(waiters.len(), MAX_WAITING);
        // A repeat takes no room.
        let (again, _) = waiting[0];
        assert!(matches!(
            waiters.wait(again, Room::Wishes),
            Place::Joined(_)
        ));

        let (gone, place) = waiting.remove(1);
        drop(place);
        let Place::First(receiver) = waiters.wait(wish(), Room::Wishes) else {
            panic!("no room was made");
        };
        assert!(matches!(waiters.wait(gone, Room::Wishes), Place::Full));
        drop(receiver);
        waiters.answer(&again, &Reply::NotAcknowledged);
        assert_eq!(waiters.len(), MAX_WAITING - 1);
        // Its answer finds it, in a room of its own.
        let Place::First(mut of_money) = of_money else {
            panic!("the first");
        };
        waiters.answer(&money, &Reply::NotAcknowledged);
        assert!(of_money.try_recv().is_ok());
    }

    #[test]
    fn who_asks_again_after_all_have_given_up_sends_again() {
        let waiters = Waiters::default();
        let wanted = wish();
        let first = waiters.wait(wanted, Room::Wishes);
        let second = waiters.wait(wanted, Room::Wishes);
        assert!(matches!(second, Place::Joined(_)));
        drop(first);
        // Somebody still waits for the command that was sent.
        let third = waiters.wait(wanted, Room::Wishes);
        assert!(matches!(third, Place::Joined(_)));
        drop((second, third));
        // Its answer may have got lost: joining it would be waiting for ever, by turns.
        let fourth = waiters.wait(wanted, Room::Wishes);
        assert!(matches!(fourth, Place::First(_)));
        assert_eq!(waiters.len(), 1);
    }

    #[tokio::test]
    async fn an_answer_is_everybodys_who_waits_for_it() {
        let waiters = Waiters::default();
        let wanted = wish();
        let first = waiters.wait(wanted, Room::Wishes);
        let second = waiters.wait(wanted, Room::Wishes);
        let (Place::First(first), Place::Joined(second)) = (first, second) else {
            panic!("the second joins the first");
        };
        // The same key with another body is another wish.
        let other = Wish {
            fingerprint: [1; 32],
            ..wanted
        };
        let Place::First(mut other) = waiters.wait(other, Room::Wishes) else {
            panic!("another body waits for itself");
        };
        waiters.answer(&wanted, &Reply::NotAcknowledged);
        for receiver in [first, second] {
            assert!(matches!(receiver.await, Ok(Reply::NotAcknowledged)));
        }
        assert!(other.try_recv().is_err());
    }
}
