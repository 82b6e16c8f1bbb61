//! Owners of tickets say whether somebody will come.

use anyhow::{Context as _, ensure};
use e2e::api::Call;
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, TicketType, User};
use futures::future::try_join_all;
use platform::ids::new_id;
use schemas::checkout::{Attendance, AttendeeSnapshot, TicketReleased};
use schemas::topics::{CHECKOUT_ATTENDEES, CHECKOUT_ORDERS};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Scene;

impl Scene {
    pub(crate) fn say(&self, by: &User, ticket: Uuid, status: &str) -> Call {
        self.stack
            .checkout()
            .post(format!("/v1/tickets/{ticket}/attendance"))
            .by(by)
            .idempotency_key(&new_id().to_string())
            .json(&json!({"status": status}))
    }

    /// The status and the attendance of a ticket, as it was answered.
    async fn said(&self, ticket: Uuid, status: &str) -> anyhow::Result<(Value, Value)> {
        let call = self.say(&self.buyer, ticket, status);
        let ticket = call.send().await?.expect(200)?;
        Ok((ticket["status"].clone(), ticket["attendance"].clone()))
    }

    /// The same in the list of the buyer's tickets.
    async fn listed(&self, ticket: Uuid) -> anyhow::Result<(Value, Value)> {
        let tickets = self.stack.checkout().get("/v1/tickets");
        let tickets = tickets.by(&self.buyer).send().await?.expect(200)?;
        let mut items = tickets["items"].as_array().into_iter().flatten();
        let item = items.find(|item| item["id"] == ticket.to_string());
        let item = item.context("the ticket is in the list")?;
        Ok((item["status"].clone(), item["attendance"].clone()))
    }

    /// The newest record of a ticket on checkout.attendees.
    pub(crate) async fn published(&self, ticket: Uuid) -> anyhow::Result<AttendeeSnapshot> {
        let all = self.stack.all_records(CHECKOUT_ATTENDEES.name).await?;
        let mut newest_first = all.iter().rev();
        let newest = newest_first.find(|record| record.key == ticket.to_string());
        newest.context("a record of the ticket")?.read()
    }

    async fn releases(&self, order: Uuid) -> anyhow::Result<usize> {
        let all = self.stack.all_records(CHECKOUT_ORDERS.name).await?;
        let released = all
            .iter()
            .filter(|record| record.is::<TicketReleased>() && record.key == order.to_string());
        Ok(released.count())
    }
}

fn shows(status: &str, attendance: &str) -> (Value, Value) {
    (json!(status), json!(attendance))
}

#[tokio::test]
async fn where_the_event_keeps_its_seats_an_owner_may_change_his_mind() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(2).await?;
    let (order, ticket) = (id_of(&paid)?, id_of(&paid["tickets"][0])?);
    ensure!(scene.listed(ticket).await? == shows("valid", "pending"));
    for (version, status) in [(1, "confirmed"), (2, "cancelled"), (3, "confirmed")] {
        let expected = shows("valid", status);
        ensure!(scene.said(ticket, status).await? == expected);
        ensure!(scene.listed(ticket).await? == expected);
        let record = scene.published(ticket).await?;
        let said = match status {
            "confirmed" => Attendance::Confirmed,
            _ => Attendance::Cancelled,
        };
        ensure!(
            record.version == version && record.attendance == said && record.order_id == order,
            "{record:?}"
        );
    }
    let shown = scene.shown(order).await?;
    ensure!(shown["tickets"][0]["attendance"] == "confirmed", "{shown}");
    ensure!(shown["tickets"][1]["attendance"] == "pending", "{shown}");
    ensure!(shown["version"] == 2, "the order did not change: {shown}");
    ensure!(scene.stock().await? == (0, 2, 1));
    Ok(())
}

#[tokio::test]
async fn where_the_event_takes_seats_back_a_cancelled_one_is_free_for_good() -> anyhow::Result<()> {
    let scene = Scene::that_takes_seats_back(&[TicketType::general(2)]).await?;
    let paid = scene.paid_order(2).await?;
    let (order, ticket) = (id_of(&paid)?, id_of(&paid["tickets"][0])?);
    let mut records = scene.stack.records(CHECKOUT_ORDERS.name)?;
    ensure!(scene.said(ticket, "confirmed").await? == shows("valid", "confirmed"));

    // Twenty wishes at once, half of them under one key.
    let key = new_id().to_string();
    let wishes = (0..20).map(|number| {
        let wish = scene.say(&scene.buyer, ticket, "cancelled");
        match number % 2 {
            0 => wish.idempotency_key(&key),
            _ => wish,
        }
        .send()
    });
    for answer in try_join_all(wishes).await? {
        let ticket = answer.expect(200)?;
        ensure!(
            ticket["status"] == "revoked" && ticket["attendance"] == "cancelled",
            "{ticket}"
        );
    }
    let (_, record) = records.wait_for_key::<TicketReleased>(order, SOON).await?;
    ensure!(record.ticket_id == ticket, "{record:?}");
    ensure!(scene.releases(order).await? == 1);
    ensure!(scene.listed(ticket).await? == shows("revoked", "cancelled"));
    let attendee = scene.published(ticket).await?;
    ensure!(attendee.attendance == Attendance::Cancelled, "{attendee:?}");
    let shown = scene.shown(order).await?;
    ensure!(shown["status"] == "paid", "{shown}");
    ensure!(shown["tickets"][1]["status"] == "valid", "{shown}");

    // For good, and the seat is somebody else's.
    let again = scene.say(&scene.buyer, ticket, "confirmed");
    again.send().await?.expect_problem(409, "revoked")?;
    ensure!(scene.said(ticket, "cancelled").await? == shows("revoked", "cancelled"));
    ensure!(scene.releases(order).await? == 1);
    scene.order(1).await?;
    ensure!(scene.stock().await? == (1, 1, 0));
    Ok(())
}

#[tokio::test]
async fn a_repeat_changes_nothing() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(1).await?;
    let ticket = id_of(&paid["tickets"][0])?;
    let key = new_id().to_string();
    let confirm = || {
        scene
            .say(&scene.buyer, ticket, "confirmed")
            .idempotency_key(&key)
    };
    confirm().send().await?.expect(200)?;
    confirm().send().await?.expect(200)?;
    ensure!(scene.published(ticket).await?.version == 1);
    let other_body = scene.say(&scene.buyer, ticket, "cancelled");
    let answer = other_body.idempotency_key(&key).send().await?;
    answer.expect_problem(422, "idempotency-key-reused")?;
    // A late repeat does not undo what was said after it.
    ensure!(scene.said(ticket, "cancelled").await? == shows("valid", "cancelled"));
    let late = confirm().send().await?.expect(200)?;
    ensure!(late["attendance"] == "cancelled", "{late}");
    ensure!(scene.published(ticket).await?.version == 2);
    Ok(())
}

#[tokio::test]
async fn nobody_comes_with_a_ticket_that_was_taken_back() -> anyhow::Result<()> {
    let scene = Scene::that_takes_seats_back(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(1).await?;
    let (order, ticket) = (id_of(&paid)?, id_of(&paid["tickets"][0])?);
    let refund = scene.end(order, "refund", &scene.organizer);
    refund.send().await?.expect(200)?;
    for status in ["confirmed", "cancelled"] {
        let call = scene.say(&scene.buyer, ticket, status);
        call.send().await?.expect_problem(409, "revoked")?;
    }
    ensure!(scene.stock().await? == (0, 0, 3));
    Ok(())
}

#[tokio::test]
async fn only_the_owner_speaks_and_only_so() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(1).await?;
    let ticket = id_of(&paid["tickets"][0])?;
    let support = scene.stack.user(&[Role::Support]).await?;
    for (by, ticket) in [
        (&scene.organizer, ticket),
        (&support, ticket),
        (&scene.buyer, new_id()),
    ] {
        let call = scene.say(by, ticket, "confirmed");
        call.send().await?.expect_problem(404, "not-found")?;
    }
    let (pointer, not_so) = ("/status", json!({"status": "pending"}));
    for (pointer, body) in [
        (pointer, not_so),
        (pointer, json!({})),
        ("/seat", json!({"status": "confirmed", "seat": 1})),
    ] {
        let call = scene.say(&scene.buyer, ticket, "confirmed").json(&body);
        let problem = call.send().await?.expect_problem(422, "invalid")?;
        ensure!(problem["errors"][0]["pointer"] == pointer, "{problem}");
    }
    ensure!(scene.listed(ticket).await? == shows("valid", "pending"));
    Ok(())
}
