//! – → reserved: all lines or none.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::money::Money;

use super::{Decision, paid, refuse_late};
use crate::domain::books::{CommandEffect, Desk};
use crate::domain::command::{Answer, PlaceOrder, Refusal};
use crate::domain::event_book::{EventBook, SaleStatus};
use crate::domain::fact::Fact;
use crate::domain::order::{Hold, Line, Order, Status};
use crate::domain::voucher::UsedVoucher;
use crate::planted::{Bug, planted};

pub(super) fn decide(
    desk: &mut Desk<'_>,
    command: &PlaceOrder,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let order_id = Order::id_of_command(command.event_id, command.command_id);
    if let Some(effect) = desk.effect(command.command_id)
        && !planted(Bug::NoDedupe)
    {
        return repeat(desk, command, *effect);
    }
    refuse_late(command.not_after, now)?;
    let book = desk.event(command.event_id).ok_or(Refusal::UnknownEvent)?;
    let (lines, sum) = price(desk, book, command, now)?;
    let voucher = voucher(desk, command, sum, now)?;
    let discount = voucher.as_ref().map_or(0, |used| used.discount.amount);
    let hold_for = desk.hold_for;

    let order = Arc::new(Order {
        id: order_id,
        event_id: command.event_id,
        user_id: command.user_id,
        version: 1,
        status: Status::Reserved,
        lines,
        total: Money {
            // No more is taken off than there is.
            amount: sum.amount - discount,
            ..sum
        },
        voucher,
        reserved_at: now,
        expires_at: Some(now + hold_for),
        updated_at: now,
        tickets: Vec::new(),
        paid_at: None,
        payment_id: None,
        fingerprint: command.fingerprint,
    });
    if let Some(book) = desk.event_mut(command.event_id) {
        book.hold(&order.lines);
        book.first_order_at.get_or_insert(now);
    }
    let buyer = (command.event_id, command.user_id);
    desk.count_buyer(buyer, &order.lines, order.reserved_at, 1);
    desk.count_voucher(order.event_id, order.voucher.as_ref(), 1);
    desk.remember(
        command.command_id,
        CommandEffect {
            order_id,
            attempt: 0,
            fingerprint: command.fingerprint,
        },
    );
    if order.total.amount == 0 {
        return Ok(free_of_charge(desk, order, now));
    }
    let early = Duration::from_secs(if planted(Bug::EarlyExpiry) { 2 } else { 0 });
    desk.put_hold(Hold {
        order: Arc::clone(&order),
        expires_at: now + hold_for.saturating_sub(early),
        attempts: 0,
        paying: false,
        payment_deadline: None,
    });
    Ok(Decision {
        facts: vec![Fact::Reserved(Arc::clone(&order))],
        answer: Answer::Order(order),
    })
}

/// A repeat gets the same order in its newest state.
fn repeat(
    desk: &Desk<'_>,
    command: &PlaceOrder,
    effect: CommandEffect,
) -> Result<Decision, Refusal> {
    if effect.fingerprint != command.fingerprint {
        return Err(Refusal::KeyReused);
    }
    let answer = match desk.hold(effect.order_id) {
        Some(hold) => Answer::Order(Arc::clone(&hold.order)),
        None => Answer::SeeRow {
            order_id: effect.order_id,
            payment_id: None,
        },
    };
    Ok(Decision::nothing(answer))
}

/// The order's lines at today's prices and their sum, when every one of them can be had.
fn price(
    desk: &Desk<'_>,
    book: &EventBook,
    command: &PlaceOrder,
    now: Timestamp,
) -> Result<(Vec<Line>, Money), Refusal> {
    if book.status != SaleStatus::Published {
        return Err(Refusal::SaleClosed);
    }
    let buyer = desk.buyer((command.event_id, command.user_id));
    let mut lines = Vec::with_capacity(command.lines.len());
    let mut total = Money {
        amount: 0,
        currency: book.currency,
    };
    for &(ticket_type_id, quantity) in &command.lines {
        let ticket_type = book
            .ticket_type(ticket_type_id)
            .ok_or(Refusal::UnknownTicketType(ticket_type_id))?;
        if !command.complimentary && !ticket_type.on_sale(now) {
            return Err(Refusal::SaleClosed);
        }
        let too_many = i64::from(planted(Bug::OneSeatTooMany));
        if ticket_type.free() + too_many < quantity {
            return Err(Refusal::SoldOut {
                ticket_type_id,
                free: ticket_type.free().max(0),
            });
        }
        if let Some(limit) = ticket_type.max_per_buyer {
            let has = buyer.map_or(0, |buyer| buyer.of(ticket_type_id));
            if has + quantity > limit {
                return Err(Refusal::LimitPerBuyer {
                    ticket_type_id,
                    limit,
                });
            }
        }
        let unit_price = if command.complimentary {
            Money::zero(ticket_type.price.currency)
        } else {
            ticket_type.price
        };
        let line_total = unit_price
            .checked_mul(quantity)
            .map_err(|_| Refusal::TotalOutOfRange)?;
        total = total
            .checked_add(line_total)
            .map_err(|_| Refusal::TotalOutOfRange)?;
        lines.push(Line {
            ticket_type_id,
            quantity,
            unit_price,
            line_total,
        });
    }
    Ok((lines, total))
}

/// The voucher that the buyer names, if this order can have it.
fn voucher(
    desk: &Desk<'_>,
    command: &PlaceOrder,
    sum: Money,
    now: Timestamp,
) -> Result<Option<UsedVoucher>, Refusal> {
    let Some(wanted) = &command.voucher else {
        return Ok(None);
    };
    let valid = wanted.offer.filter(|offer| offer.is_valid(now));
    let offer = valid.ok_or(Refusal::VoucherInvalid)?;
    let discount = offer.discount(sum).ok_or(Refusal::VoucherInvalid)?;
    let key = (command.event_id, wanted.code.clone());
    let too_many = i64::from(planted(Bug::OneUseTooMany));
    if desk.voucher_uses(&key) >= offer.max_uses + too_many {
        return Err(Refusal::VoucherUsedUp);
    }
    Ok(Some(UsedVoucher {
        code: wanted.code.clone(),
        version: offer.version,
        max_uses: offer.max_uses,
        discount,
    }))
}

/// Nothing to pay: reserved and paid in one decision.
fn free_of_charge(desk: &mut Desk<'_>, order: Arc<Order>, now: Timestamp) -> Decision {
    if let Some(book) = desk.event_mut(order.event_id) {
        book.sell_held(&order.lines);
    }
    let confirmed = paid(desk, &order, None, now);
    Decision {
        facts: vec![
            Fact::Reserved(order),
            Fact::Confirmed(Arc::clone(&confirmed)),
        ],
        answer: Answer::Order(confirmed),
    }
}
