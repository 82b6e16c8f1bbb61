//! One ticket of a paid order is given back: it is dead, its seat is free, no money moves.
//!
//! The order stays paid and goes on with its other tickets, if it has any; a refund pays all of it back and frees what is
//! left. Which tickets were given back the books know as long as the event, since the row may be read before it shows that.

use platform::clock::Timestamp;

use super::{Decision, refuse_late, refuse_unpaid, remembered, repeat_by_row};
use crate::domain::books::{CommandEffect, Desk};
use crate::domain::command::{Answer, Refusal, ReleaseTicket};
use crate::domain::event_book::EventBook;
use crate::domain::fact::{Fact, TicketReleased};
use crate::domain::order::{ReleasedTicket, line_of_ticket, next_update};
use crate::planted::{Bug, planted};

pub(super) fn decide(
    desk: &mut Desk<'_>,
    command: &ReleaseTicket,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if let Some(effect) = desk.effect(command.command_id) {
        return repeat_by_row(effect, command.fingerprint);
    }
    refuse_late(command.not_after, now)?;
    let row = &command.row;
    refuse_unpaid(desk, command.order_id, row)?;
    let by_row = Answer::SeeRow {
        order_id: command.order_id,
        payment_id: None,
    };
    let mut ended = remembered(desk, command.order_id, command.event_id, row);
    let id = command.ticket_id;
    if ended.released.iter().any(|known| known.ticket_id == id) {
        return Ok(Decision::nothing(by_row));
    }
    let event = desk.event(command.event_id);
    if !event.is_some_and(EventBook::takes_seats_back) {
        return Ok(Decision::nothing(Answer::Nothing));
    }
    // The row has no such ticket: it fits no rule.
    let line = line_of_ticket(command.order_id, &row.lines, id).ok_or(Refusal::SeeRow)?;

    let seat = line.of(1);
    let ticket = ReleasedTicket {
        ticket_id: id,
        ticket_type_id: seat.ticket_type_id,
    };
    if let Some(book) = desk.event_mut(command.event_id) {
        book.take_seat_back(&seat);
    }
    let buyer = (command.event_id, row.user_id);
    desk.count_buyer(buyer, &[seat], row.reserved_at, -1);
    let released = TicketReleased {
        order_id: command.order_id,
        event_id: command.event_id,
        user_id: row.user_id,
        version: ended.version,
        ticket,
        at: next_update(row.updated_at, now),
    };
    if !planted(Bug::ReleasedTwice) {
        ended.released.push(ticket);
    }
    desk.put_ended(ended);
    desk.remember(
        command.command_id,
        CommandEffect {
            order_id: command.order_id,
            attempt: 0,
            fingerprint: command.fingerprint,
        },
    );
    Ok(Decision {
        facts: vec![Fact::Released(released)],
        answer: by_row,
    })
}
