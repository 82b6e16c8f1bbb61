//! The end of the sale: nothing is held any more, and every order is what it will stay.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::shopper::Sale;
use super::tally::Accepted;
use crate::stack::Stack;
use crate::wait::{SOON, eventually};

/// So many orders are read at once.
const READERS: usize = 32;

/// What is left of one ticket type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Seats {
    /// The ticket type.
    pub id: Uuid,
    /// Tickets for sale.
    pub quantity: i64,
    /// Held for orders that are not paid.
    pub held: i64,
    /// Paid.
    pub sold: i64,
    /// To be had.
    pub available: i64,
}

/// What became of the orders that shoppers were told they have.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Orders by status.
    pub by_status: BTreeMap<String, u64>,
    /// Tickets of paid orders, by ticket type.
    pub paid_tickets: BTreeMap<Uuid, i64>,
    /// Those of them that were given back.
    pub given_back: BTreeMap<Uuid, i64>,
    /// Orders that cannot be read, with the reason.
    pub unreadable: Vec<String>,
}

/// Waits until no seat is held.
pub async fn drained(stack: &Stack, event: Uuid, within: Duration) -> anyhow::Result<Vec<Seats>> {
    eventually(within, "no seat to be held", async || {
        let seats = seats(stack, event).await?;
        let held: i64 = seats.iter().map(|seats| seats.held).sum();
        ensure!(held == 0, "{held} seats are held");
        Ok(Some(seats))
    })
    .await
}

async fn seats(stack: &Stack, event: Uuid) -> anyhow::Result<Vec<Seats>> {
    let path = format!("/v1/events/{event}/availability");
    let shown = stack.gateway().get(path).send().await?.expect(200)?;
    Ok(Vec::deserialize(&shown["ticket_types"])?)
}

/// Reads every order that somebody has, when nothing is held any more.
pub async fn ends(stack: &Stack, sale: &Sale) -> anyhow::Result<Ends> {
    let accepted = sale.asker.tally.with(|counts| counts.accepted.clone());
    let mut read = futures::stream::iter(accepted)
        .map(async |order| (order, settled(stack, sale, order).await))
        .buffer_unordered(READERS);
    let mut ends = Ends::default();
    while let Some((order, found)) = read.next().await {
        match found {
            Ok(found) => ends.count(&found)?,
            Err(error) => ends.unreadable.push(format!("{}: {error:#}", order.id)),
        }
    }
    Ok(ends)
}

/// The order as its buyer reads it. Its row may be some moments behind the stock.
async fn settled(stack: &Stack, sale: &Sale, order: Accepted) -> anyhow::Result<Value> {
    let account = &sale.accounts.buyers[order.account];
    let path = format!("/v1/orders/{}", order.id);
    let end = Instant::now() + SOON;
    eventually(SOON, "an order to be readable", async || {
        let token = account.token().await?;
        let answer = stack.gateway().get(&path).token(&token).send().await?;
        let found = answer.expect(200)?;
        // At the end of the wait as it is: the report tells that it is still reserved.
        let is_settled = found["status"] != "reserved" || Instant::now() + SOON / 4 > end;
        Ok(is_settled.then_some(found))
    })
    .await
}

impl Ends {
    fn count(&mut self, order: &Value) -> anyhow::Result<()> {
        let status = order["status"].as_str().context("an order has a status")?;
        *self.by_status.entry(status.to_owned()).or_default() += 1;
        if status == "paid" {
            for line in order["lines"].as_array().into_iter().flatten() {
                let ticket_type = Uuid::deserialize(&line["ticket_type_id"])?;
                let quantity = line["quantity"].as_i64().context("a line has a quantity")?;
                *self.paid_tickets.entry(ticket_type).or_default() += quantity;
            }
            let tickets = order["tickets"].as_array().into_iter().flatten();
            for ticket in tickets.filter(|ticket| ticket["status"] == "revoked") {
                let ticket_type = Uuid::deserialize(&ticket["ticket_type_id"])?;
                *self.given_back.entry(ticket_type).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Orders in this status.
    pub fn with_status(&self, status: &str) -> u64 {
        self.by_status.get(status).copied().unwrap_or_default()
    }
}

/// The seats, when as many count as sold as the paid orders still have tickets, and the others are to be had; else an error
/// that tells the difference.
pub async fn sold_as_paid(stack: &Stack, event: Uuid, ends: &Ends) -> anyhow::Result<Vec<Seats>> {
    eventually(SOON, "as many sold seats as paid tickets", async || {
        let seats = seats(stack, event).await?;
        for of_type in &seats {
            let of = |counts: &BTreeMap<Uuid, i64>| counts.get(&of_type.id).copied();
            let paid = of(&ends.paid_tickets).unwrap_or_default();
            let given_back = of(&ends.given_back).unwrap_or_default();
            let (sold, left) = (of_type.sold, of_type.available);
            ensure!(
                sold == paid - given_back,
                "{sold} seats are sold, and {paid} tickets paid of which {given_back} were given back"
            );
            ensure!(
                left == of_type.quantity - paid + given_back,
                "{left} seats are left of {}, and {paid} tickets paid of which {given_back} were given back",
                of_type.quantity
            );
        }
        Ok(Some(seats))
    })
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ticket_that_was_given_back_is_counted_as_paid_and_as_given_back() -> anyhow::Result<()> {
        let [general, vip] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let order = |status: &str, tickets: [&str; 3]| {
            let types = [general, general, vip];
            let tickets = types.iter().zip(tickets);
            let ticket = |(id, status)| json!({"ticket_type_id": id, "status": status});
            json!({
                "status": status,
                "lines": [{"ticket_type_id": general, "quantity": 2}, {"ticket_type_id": vip, "quantity": 1}],
                "tickets": tickets.map(ticket).collect::<Vec<_>>(),
            })
        };
        let mut ends = Ends::default();
        ends.count(&order("paid", ["valid", "revoked", "valid"]))?;
        ends.count(&order("paid", ["valid"; 3]))?;
        ends.count(&order("refunded", ["revoked"; 3]))?;
        assert_eq!(ends.paid_tickets, [(general, 4), (vip, 2)].into());
        assert_eq!(ends.given_back, [(general, 1)].into());
        assert_eq!(
            (ends.with_status("paid"), ends.with_status("refunded")),
            (2, 1)
        );
        Ok(())
    }
}
