//! What the owner of a ticket says of who will come with it: whether somebody does, and who it is.

use platform::clock::Timestamp;
use uuid::Uuid;

use super::guest::Person;
use super::order::{Fingerprint, Order};

/// Requests of one ticket that are remembered, so that their repeats change nothing. Nobody changes his mind so often
/// before a repeat comes.
const MAX_OPERATIONS: usize = 32;

/// Whether somebody will come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Attendance {
    /// Nothing was said.
    #[default]
    Pending,
    /// Somebody will.
    Confirmed,
    /// Nobody will.
    Cancelled,
}

impl Attendance {
    /// The name used in rows and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The inverse of [`Attendance::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Confirmed, Self::Cancelled]
            .into_iter()
            .find(|attendance| attendance.as_str() == text)
    }
}

/// What was said last of one ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendee {
    /// Ticket.
    pub ticket_id: Uuid,
    /// Its order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Whose ticket it is.
    pub user_id: Uuid,
    /// Grows by one with every change, from 1; 0 of a ticket of which nothing was ever said.
    pub version: i64,
    /// Whether somebody will come.
    pub attendance: Attendance,
    /// Who it is; `None` until somebody is named.
    pub person: Option<Person>,
    /// The last requests with their bodies, oldest first.
    pub operations: Vec<(Uuid, Fingerprint)>,
    /// When it was said.
    pub changed_at: Timestamp,
    /// Whether the owner was erased: what was said is gone, and nothing is said any more.
    pub is_erased: bool,
}

impl Attendee {
    /// Of a ticket of which nothing was ever said.
    pub fn unknown(order: &Order, ticket_id: Uuid) -> Self {
        Self {
            ticket_id,
            order_id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            version: 0,
            attendance: Attendance::Pending,
            person: None,
            operations: Vec::new(),
            changed_at: order.updated_at,
            is_erased: false,
        }
    }

    /// The body that a request came with when it was made first; `None`: it is a new one.
    pub fn body_of(&self, operation_id: Uuid) -> Option<Fingerprint> {
        let mut operations = self.operations.iter();
        let known = operations.find(|(id, _)| *id == operation_id);
        known.map(|(_, fingerprint)| *fingerprint)
    }

    /// After another word of the owner's.
    pub fn say(
        &self,
        attendance: Attendance,
        operation: (Uuid, Fingerprint),
        now: Timestamp,
    ) -> Self {
        let mut operations = self.operations.clone();
        operations.push(operation);
        let forgotten = operations.len().saturating_sub(MAX_OPERATIONS);
        operations.drain(..forgotten);
        Self {
            version: self.version + 1,
            attendance,
            operations,
            changed_at: now.max(self.changed_at),
            ..self.clone()
        }
    }

    /// After the owner has named somebody.
    pub fn name(&self, person: Person, now: Timestamp) -> Self {
        Self {
            version: self.version + 1,
            person: Some(person),
            changed_at: now.max(self.changed_at),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_requests_are_known_by_their_bodies() {
        let nothing = Attendee {
            ticket_id: Uuid::from_u128(1),
            order_id: Uuid::from_u128(2),
            event_id: Uuid::from_u128(3),
            user_id: Uuid::from_u128(4),
            version: 0,
            attendance: Attendance::Pending,
            person: None,
            operations: Vec::new(),
            changed_at: Timestamp::from_seconds(5),
            is_erased: false,
        };
        let mut said = nothing.clone();
        for number in 0..=MAX_OPERATIONS {
            let id = Uuid::from_u128(number as u128);
            let body = [u8::try_from(number).expect("small"); 32];
            assert_eq!(said.body_of(id), None);
            said = said.say(
                Attendance::Confirmed,
                (id, body),
                Timestamp::from_seconds(1),
            );
            assert_eq!(said.body_of(id), Some(body));
        }
        assert_eq!(said.operations.len(), MAX_OPERATIONS);
        assert_eq!(
            said.body_of(Uuid::from_u128(0)),
            None,
            "the oldest is forgotten"
        );
        assert_eq!(said.body_of(Uuid::from_u128(1)), Some([1; 32]));
        assert_eq!(said.version, 33);
        assert_eq!(said.changed_at, nothing.changed_at, "time runs forward");
    }

    #[test]
    fn every_attendance_is_read_as_it_was_written() {
        for attendance in [
            Attendance::Pending,
            Attendance::Confirmed,
            Attendance::Cancelled,
        ] {
            assert_eq!(Attendance::parse(attendance.as_str()), Some(attendance));
        }
        assert_eq!(Attendance::parse("maybe"), None);
    }
}
