//! What is still to be had.

use uuid::Uuid;

use super::ticket_type::TicketType;

/// What the box office said last about one ticket type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeStock {
    /// Which.
    pub ticket_type_id: Uuid,
    /// Tickets for sale.
    pub quantity: i64,
    /// Held for unpaid orders.
    pub held: i64,
    /// Paid.
    pub sold: i64,
}

/// What the box office said last about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStock {
    /// Grows with every change of the stock; from 1.
    pub version: i64,
    /// By how many seats it does not add up. Always 0, or the box office has a fault.
    pub missing_seats: u64,
    /// Every ticket type that the box office knows.
    pub ticket_types: Vec<TypeStock>,
}

/// The stock of an event's ticket types, in their order.
///
/// A type that the box office has not spoken of yet has all its tickets left: nobody can have bought one before the
/// box office knew it.
pub fn availability(ticket_types: &[TicketType], stock: Option<&EventStock>) -> Vec<TypeStock> {
    let known = stock.map_or(&[][..], |stock| &stock.ticket_types);
    ticket_types
        .iter()
        .map(|ticket_type| {
            known
                .iter()
                .find(|known| known.ticket_type_id == ticket_type.id)
                .copied()
                .unwrap_or(TypeStock {
                    ticket_type_id: ticket_type.id,
                    quantity: ticket_type.terms.quantity,
                    held: 0,
                    sold: 0,
                })
        })
        .collect()
}

impl TypeStock {
    /// What is neither held nor sold; never below 0, also while more is held and sold than a lowered quantity.
    pub fn available(&self) -> i64 {
        (self.quantity - self.held - self.sold).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::samples::ticket_type;

    #[test]
    fn what_the_box_office_said_counts() {
        let types = [ticket_type(1, 100), ticket_type(2, 10)];
        let stock = EventStock {
            version: 7,
            missing_seats: 0,
            ticket_types: vec![TypeStock {
                ticket_type_id: types[1].id,
                quantity: 8,
                held: 3,
                sold: 4,
            }],
        };
        let found = availability(&types, Some(&stock));
        let figures: Vec<_> = found
            .iter()
            .map(|t| (t.ticket_type_id, t.quantity, t.held, t.sold, t.available()))
            .collect();
        assert_eq!(
            figures,
            [(types[0].id, 100, 0, 0, 100), (types[1].id, 8, 3, 4, 1)]
        );
    }

    #[test]
    fn before_the_first_word_everything_is_there() {
        let types = [ticket_type(1, 100)];
        assert_eq!(availability(&types, None)[0].available(), 100);
        assert!(availability(&[], None).is_empty());
    }

    #[test]
    fn available_is_never_negative() {
        let stock = TypeStock {
            ticket_type_id: Uuid::nil(),
            quantity: 5,
            held: 2,
            sold: 4,
        };
        assert_eq!(stock.available(), 0);
    }
}
