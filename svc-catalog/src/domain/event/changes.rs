//! How an event and its ticket types change after they were made.

use platform::clock::Timestamp;
use uuid::Uuid;

use super::{Details, Event, Status};
use crate::domain::rule::Violations;
use crate::domain::ticket_type::Terms;

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotChanged {
    /// It breaks rules.
    Invalid(Violations),
    /// A cancelled or archived event stays as it is.
    Closed,
    /// The event has no such ticket type.
    NoTicketType,
    /// A published event sells something.
    LastTicketType,
}

/// Why an event cannot be archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotArchivable {
    /// Nobody else has seen it.
    #[error("it is a draft: delete it")]
    Draft,
    /// Its orders are refunded because it is cancelled.
    #[error("it was cancelled, and stays so")]
    Cancelled,
}

/// Seats of a ticket type that shall be fewer: the new quantity, 0 for a type that goes.
pub type Lowered = (Uuid, i64);

impl Event {
    /// The event with other details; `None` when it has them.
    pub fn change_details(
        &self,
        details: Details,
        now: Timestamp,
    ) -> Result<Option<Self>, NotChanged> {
        self.check_open()?;
        let details = details.checked(now).map_err(NotChanged::Invalid)?;
        let mut violations = Violations::default();
        let next = Self {
            details,
            version: self.version + 1,
            ..self.clone()
        };
        if next.unassigned_capacity() < 0 {
            let assigned = next.room() - next.unassigned_capacity();
            violations.add(
                "/capacity",
                "capacity",
                format!("at least {assigned}, which is what the ticket types have"),
            );
        }
        let ends = next.details.ends_at;
        let outlives = |terms: &Terms| {
            let ends_later = |at: Timestamp| at > ends;
            terms.sale_starts_at.is_some_and(ends_later)
                || terms.sale_ends_at.is_some_and(ends_later)
        };
        let outliving = next.ticket_types.iter().find(|t| outlives(&t.terms));
        if let Some(outliving) = outliving {
            violations.add(
                "/ends_at",
                "order",
                format!("not before the sale of {} ends", outliving.terms.name),
            );
        }
        let next = violations.or(next).map_err(NotChanged::Invalid)?;
        Ok((next.details != self.details).then_some(next))
    }

    /// The event with other terms of one ticket type; `None` when it has them.
    pub fn change_ticket_type(&self, id: Uuid, terms: Terms) -> Result<Option<Self>, NotChanged> {
        let known = self.ticket_type(id).ok_or(NotChanged::NoTicketType)?;
        self.check_open()?;
        // What it may be depends on the others, and not on what it was …
        let others = self.without(id);
        let terms = terms.checked_for(&others).map_err(NotChanged::Invalid)?;
        // … except for the currency once something may have been sold in it.
        if self.status != Status::Draft && terms.price.currency != known.terms.price.currency {
            let mut violations = Violations::default();
            let currency = known.terms.price.currency;
            violations.add(
                "/price/currency",
                "currency",
                format!("{currency}: the currency of a published event stays"),
            );
            return Err(NotChanged::Invalid(violations));
        }
        if terms == known.terms {
            return Ok(None);
        }
        let mut next = self.clone();
        next.version += 1;
        for ticket_type in &mut next.ticket_types {
            if ticket_type.id == id {
                ticket_type.version = next.version;
                ticket_type.terms = terms.clone();
            }
        }
        Ok(Some(next))
    }

    /// The event without one ticket type.
    pub fn remove_ticket_type(&self, id: Uuid) -> Result<Self, NotChanged> {
        self.ticket_type(id).ok_or(NotChanged::NoTicketType)?;
        self.check_open()?;
        if self.status == Status::Published && self.ticket_types.len() == 1 {
            return Err(NotChanged::LastTicketType);
        }
        Ok(Self {
            version: self.version + 1,
            ..self.without(id)
        })
    }

    /// The event as archived: it is over, nothing of it is sold any more, and its tickets stay what they are. `None` when
    /// it is already.
    pub fn archive(&self) -> Result<Option<Self>, NotArchivable> {
        match self.status {
            Status::Archived => Ok(None),
            Status::Draft => Err(NotArchivable::Draft),
            Status::Cancelled => Err(NotArchivable::Cancelled),
            Status::Published => Ok(Some(Self {
                status: Status::Archived,
                version: self.version + 1,
                ..self.clone()
            })),
        }
    }

    /// The event as it is, under the next version.
    #[must_use]
    pub fn restated(&self) -> Self {
        Self {
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// What this event sells less of than `before`. Nobody can have bought anything of a draft.
    pub fn lowered_since(&self, before: &Self) -> Vec<Lowered> {
        if before.status == Status::Draft {
            return Vec::new();
        }
        let lowered = before.ticket_types.iter().filter_map(|known| {
            let now = self.ticket_type(known.id);
            let quantity = now.map_or(0, |now| now.terms.quantity);
            (quantity < known.terms.quantity).then_some((known.id, quantity))
        });
        lowered.collect()
    }

    fn check_open(&self) -> Result<(), NotChanged> {
        match self.status {
            Status::Draft | Status::Published => Ok(()),
            Status::Cancelled | Status::Archived => Err(NotChanged::Closed),
        }
    }

    fn without(&self, id: Uuid) -> Self {
        let mut others = self.clone();
        others.ticket_types.retain(|known| known.id != id);
        others
    }
}

#[cfg(test)]
mod tests {
    use platform::money::Money;

    use super::super::samples::{END, NOW, details, sellable, terms};
    use super::*;

    const STALLS: Uuid = Uuid::from_u128(1);
    const BALCONY: Uuid = Uuid::from_u128(2);

    /// 100 seats in the stalls and 50 in the balcony, of 500; on sale.
    fn on_sale() -> Event {
        let both = sellable().add_ticket_type(BALCONY, terms(50));
        let both = both.expect("valid terms").expect("a new ticket type");
        both.publish(NOW).expect("publishable").expect("a draft")
    }

    fn found(refused: Result<Option<Event>, NotChanged>) -> Vec<(&'static str, &'static str)> {
        match refused {
            Err(NotChanged::Invalid(violations)) => {
                violations.iter().map(|v| (v.field, v.code)).collect()
            }
            other => panic!("not refused as invalid: {other:?}"),
        }
    }

    #[test]
    fn other_details_make_a_version_and_the_same_ones_do_not() {
        let event = on_sale();
        assert_eq!(event.change_details(details(), NOW), Ok(None));
        let mut other = details();
        other.name = "Summer concert".into();
        let changed = event.change_details(other, NOW).unwrap().unwrap();
        assert_eq!(changed.details.name, "Summer concert");
        assert_eq!(changed.version, event.version + 1);
        assert_eq!(changed.ticket_types, event.ticket_types);
    }

    #[test]
    fn the_place_keeps_room_for_what_is_on_offer_and_the_end_waits_for_the_sales() {
        let event = on_sale();
        let mut smaller = details();
        smaller.capacity = Some(149);
        assert_eq!(
            found(event.change_details(smaller.clone(), NOW)),
            [("/capacity", "capacity")]
        );
        smaller.capacity = Some(150);
        assert!(event.change_details(smaller, NOW).is_ok());

        let mut late = terms(100);
        late.sale_ends_at = Some(END);
        let event = event.change_ticket_type(STALLS, late).unwrap().unwrap();
        let mut shorter = details();
        shorter.ends_at = Timestamp::from_seconds(END.as_seconds() - 1);
        assert_eq!(
            found(event.change_details(shorter, NOW)),
            [("/ends_at", "order")]
        );
    }

    #[test]
    fn a_ticket_type_changes_beside_the_others() {
        let event = on_sale();
        assert_eq!(event.change_ticket_type(STALLS, terms(100)), Ok(None));
        let more = event
            .change_ticket_type(STALLS, terms(450))
            .unwrap()
            .unwrap();
        assert_eq!(more.ticket_type(STALLS).unwrap().version, more.version);
        assert_eq!(more.ticket_type(BALCONY), event.ticket_type(BALCONY));
        assert_eq!(more.lowered_since(&event), []);
        assert_eq!(
            found(event.change_ticket_type(STALLS, terms(451))),
            [("/quantity", "capacity")]
        );
        let fewer = event
            .change_ticket_type(STALLS, terms(99))
            .unwrap()
            .unwrap();
        assert_eq!(fewer.lowered_since(&event), [(STALLS, 99)]);
        assert_eq!(
            event.change_ticket_type(Uuid::from_u128(9), terms(1)),
            Err(NotChanged::NoTicketType)
        );
    }

    #[test]
    fn the_currency_changes_only_before_anything_is_sold() {
        let mut yen = terms(100);
        yen.price = Money::new(2_500, "JPY".parse().expect("a currency"));
        assert!(sellable().change_ticket_type(STALLS, yen.clone()).is_ok());
        let single = sellable().publish(NOW).unwrap().unwrap();
        for event in [single, on_sale()] {
            assert_eq!(
                found(event.change_ticket_type(STALLS, yen.clone())),
                [("/price/currency", "currency")]
            );
        }
    }

    #[test]
    fn a_ticket_type_goes_and_the_last_one_of_a_published_event_stays() {
        let event = on_sale();
        let left = event.remove_ticket_type(STALLS).unwrap();
        assert_eq!(left.lowered_since(&event), [(STALLS, 0)]);
        assert_eq!(left.version, event.version + 1);
        assert_eq!(
            left.remove_ticket_type(BALCONY),
            Err(NotChanged::LastTicketType)
        );
        assert_eq!(
            left.remove_ticket_type(STALLS),
            Err(NotChanged::NoTicketType)
        );
        let draft = sellable();
        let empty = draft.remove_ticket_type(STALLS).unwrap();
        assert_eq!(empty.lowered_since(&draft), []);
    }

    #[test]
    fn what_is_closed_stays_as_it_is() {
        let event = on_sale();
        for closed in [
            event.cancel().unwrap().unwrap(),
            event.archive().unwrap().unwrap(),
        ] {
            assert_eq!(
                closed.change_details(details(), NOW),
                Err(NotChanged::Closed)
            );
            assert_eq!(
                closed.change_ticket_type(STALLS, terms(1)),
                Err(NotChanged::Closed)
            );
            assert_eq!(closed.remove_ticket_type(STALLS), Err(NotChanged::Closed));
        }
    }

    #[test]
    fn only_what_was_published_is_archived() {
        let archived = on_sale().archive().unwrap().unwrap();
        assert_eq!(archived.status, Status::Archived);
        assert_eq!(archived.archive(), Ok(None));
        assert_eq!(sellable().archive(), Err(NotArchivable::Draft));
        let cancelled = on_sale().cancel().unwrap().unwrap();
        assert_eq!(cancelled.archive(), Err(NotArchivable::Cancelled));
    }
}
