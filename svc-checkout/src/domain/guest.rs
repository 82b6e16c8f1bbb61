//! Guests of an organizer: buyers without an account.

use platform::clock::Timestamp;
use platform::ids::derived_id;
use platform::person::email::Email;
use platform::person::name::Name;
use platform::person::phone::Phone;
use uuid::Uuid;

use super::order::Order;

/// Where a guest stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Written down before the box office is asked for the ticket.
    Wanted,
    /// Has a ticket.
    Listed,
    /// Had a ticket or has one, and nobody knows any more who it was.
    Erased,
}

impl Standing {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Wanted, Self::Listed, Self::Erased];

    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Listed => "listed",
            Self::Erased => "erased",
        }
    }
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// As it was written.
    pub name: Name,
    /// Where mail goes.
    pub email: Email,
    /// Where one is known.
    pub phone: Option<Phone>,
}

/// Somebody on the list of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The buyer of the order: it follows from the command that places it.
    pub id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// The order that the ticket is in.
    pub order_id: Uuid,
    /// What the ticket is for.
    pub ticket_type_id: Uuid,
    /// Grows with every change.
    pub version: i64,
    /// Where the guest stands.
    pub standing: Standing,
    /// `None` once erased.
    pub person: Option<Person>,
    /// BCP 47 language of mails.
    pub locale: String,
    /// The request that is making it, or made it.
    pub attempt: Uuid,
    /// When that came.
    pub wanted_at: Timestamp,
}

impl Guest {
    /// Whom the command `command_id` puts on the list.
    pub fn id_of_command(command_id: Uuid) -> Uuid {
        derived_id(command_id, &["guest"])
    }

    /// Somebody whom the command `command_id` is to put on the list.
    pub fn wanted(
        event_id: Uuid,
        command_id: Uuid,
        ticket_type_id: Uuid,
        person: Person,
        locale: String,
        (attempt, now): (Uuid, Timestamp),
    ) -> Self {
        Self {
            id: Self::id_of_command(command_id),
            event_id,
            order_id: Order::id_of_command(event_id, command_id),
            ticket_type_id,
            version: 1,
            standing: Standing::Wanted,
            person: Some(person),
            locale,
            attempt,
            wanted_at: now,
        }
    }

    /// Whether the other wish is the same one. Who was erased is not known, so nobody can tell.
    pub fn is_same_wish(&self, other: &Self) -> bool {
        self.ticket_type_id == other.ticket_type_id
            && (self.person.is_none() || self.person == other.person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(email: &str) -> Guest {
        Guest::wanted(
            Uuid::from_u128(1),
            Uuid::from_u128(2),
            Uuid::from_u128(3),
            Person {
                name: Name::parse("Ada").expect("a name"),
                email: Email::parse(email).expect("an address"),
                phone: None,
            },
            "en".to_owned(),
            (Uuid::from_u128(4), Timestamp::from_seconds(1)),
        )
    }

    #[test]
    fn a_wish_is_recognized_and_an_erased_guest_contradicts_nobody() {
        let (ada, other) = (guest("ada@example.com"), guest("ida@example.com"));
        assert_eq!(ada.id, other.id, "it follows from the command");
        assert!(ada.is_same_wish(&guest("ada@example.com")));
        assert!(!ada.is_same_wish(&other));
        let erased = Guest {
            person: None,
            ..ada
        };
        assert!(erased.is_same_wish(&other));
    }
}
