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
    /// What tells of money that was taken or given back. It is never turned away: not more of it is under way than payments
    /// that were let in and what the jobs ask for at once, and a flood of orders must not keep a paid one from its tickets.
    /// Those whose answer got lost are swept as the others come.
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

/// A room for money of fewer is not swept.
const SWEPT_FROM: usize = 64;

struct Rooms {
    wishes: Waiting,
    money: Waiting,
    /// So many in the room for money, and those that gave up go: twice as many as the last sweep left. A sweep costs as
    /// much as came in since the one before.
    money_swept_at: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            wishes: Waiting::default(),
            money: Waiting::default(),
            money_swept_at: SWEPT_FROM,
        }
    }
}

impl Rooms {
    fn of(&mut self, room: Room) -> &mut Waiting {
        match room {
            Room::Wishes => &mut self.wishes,
            Room::Money => &mut self.money,
        }
    }
}

/// Removes what nobody waits for any more.
fn sweep(waiting: &mut Waiting) {
    waiting.retain(|_, senders| senders.iter().any(|sender| !sender.is_closed()));
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
        let waiting = rooms.of(room);
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
        let rooms = &mut *rooms;
        match room {
            Room::Wishes if rooms.wishes.len() >= MAX_WAITING => {
                sweep(&mut rooms.wishes);
                if rooms.wishes.len() >= MAX_WAITING {
                    return Place::Full;
                }
            }
            // A reply of another instance can get lost, and nobody asks again for a payment that was settled.
            Room::Money if rooms.money.len() >= rooms.money_swept_at => {
                sweep(&mut rooms.money);
                rooms.money_swept_at = SWEPT_FROM.max(2 * rooms.money.len());
            }
            Room::Wishes | Room::Money => {}
        }
        rooms.of(room).insert(wish, vec![sender]);
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
    fn money_whose_answer_got_lost_does_not_pile_up() {
        let waiters = Waiters::default();
        let in_the_room = || {
            let rooms = waiters.rooms.lock().expect("nobody panicked");
            rooms.money.len()
        };
        let waits = wish();
        let Place::First(mut answer) = waiters.wait(waits, Room::Money) else {
            panic!("the first");
        };
        for _ in 0..100 * SWEPT_FROM {
            drop(waiters.wait(wish(), Room::Money));
            assert!(in_the_room() <= SWEPT_FROM + 1);
        }
        waiters.answer(&waits, &Reply::NotAcknowledged);
        assert!(answer.try_recv().is_ok(), "who still waits is told");
        // Many that wait for good reason are not looked through for each that comes.
        let many: Vec<_> = (0..3 * SWEPT_FROM)
            .map(|_| waiters.wait(wish(), Room::Money))
            .collect();
        assert!(in_the_room() >= many.len());
        drop(many);
        for _ in 0..4 * SWEPT_FROM {
            drop(waiters.wait(wish(), Room::Money));
        }
        assert!(in_the_room() <= 3 * SWEPT_FROM, "{}", in_the_room());
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
