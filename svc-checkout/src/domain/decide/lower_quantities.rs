//! The catalog wants to sell less: granted, or refused where more is held and sold.
//!
//! What is granted counts from this decision on, before the catalog has written it down. Else seats could be sold between
//! the grant and the inventory record that has it, and the new quantity would be below what is sold.

use platform::clock::Timestamp;

use super::{Decision, refuse_late};
use crate::domain::books::Desk;
use crate::domain::command::{Answer, LowerQuantities, Refusal};

pub(super) fn decide(
    desk: &mut Desk<'_>,
    command: &LowerQuantities,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    refuse_late(command.not_after, now)?;
    let book = desk.event(command.event_id).ok_or(Refusal::UnknownEvent)?;
    if command.version <= book.inventory_version {
        return Err(Refusal::InventoryIsNewer);
    }
    for &(ticket_type_id, quantity) in &command.quantities {
        // A type without a book was never sold: its inventory is on its way, and will meet the cap.
        let taken = book
            .ticket_type(ticket_type_id)
            .map_or(0, |book| book.held + book.sold);
        if taken > quantity {
            return Err(Refusal::BelowSold {
                ticket_type_id,
                taken,
            });
        }
    }
    if let Some(book) = desk.event_mut(command.event_id) {
        book.cap(command.version, &command.quantities);
    }
    Ok(Decision::nothing(Answer::Nothing))
}
