//! Guests of the organizer: a ticket for nothing, sent to somebody who has no account.

use anyhow::{Context as _, ensure};
use e2e::guests::{body as guest, list};
use e2e::users::fresh_email;
use e2e::wait::SOON;
use e2e::{Call, Role, TicketType, User, eventually};
use platform::ids::new_id;
use schemas::checkout::{GuestSnapshot, OrderReserved, PaymentConfirmed};
use schemas::topics::{CHECKOUT_GUESTS, CHECKOUT_ORDERS, CHECKOUT_PAYMENTS};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Scene;

impl Scene {
    fn list(&self, by: &User, body: &Value) -> Call {
        list(self.stack.checkout(), by, self.event.id, body)
    }

    async fn available(&self, ticket_type: Uuid) -> anyhow::Result<i64> {
        let path = format!("/v1/events/{}/availability", self.event.id);
        let left = self.stack.catalog().get(path).send().await?.expect(200)?;
        let types = left["ticket_types"].as_array().context("types")?;
        let of_type = types
            .iter()
            .find(|left| left["id"] == ticket_type.to_string());
        let available = of_type.and_then(|left| left["available"].as_i64());
        available.context("the type is there")
    }
}

#[tokio::test]
async fn a_guest_has_a_seat_and_a_ticket_in_the_mail() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(2)]).await?;
    let ticket_type = scene.event.ticket_types[0];
    let email = fresh_email("guest");
    let key = new_id().to_string();
    let body = guest(&email, ticket_type);
    let wish = |body: &Value| scene.list(&scene.organizer, body).idempotency_key(&key);
    let listed = wish(&body).send().await?.expect(201)?;
    let attendee = json!({"name": "Ada Lovelace", "email": email, "phone": "+33612345678"});
    ensure!(listed["attendee"] == attendee, "{listed}");
    ensure!(listed["ticket"]["status"] == "valid", "{listed}");
    ensure!(listed["ticket"]["price"]["amount"] == 0, "{listed}");

    // The same wish again is the same ticket, another one under its key is refused.
    let again = wish(&body).send().await?.expect(201)?;
    ensure!(again["ticket"]["id"] == listed["ticket"]["id"], "{again}");
    ensure!(again["id"] == listed["id"], "{again}");
    let other = guest(&fresh_email("guest"), ticket_type);
    let other = wish(&other).send().await?;
    other.expect_problem(422, "idempotency-key-reused")?;

    let mail = scene.stack.mailbox().wait_for(&email, SOON, |_| true);
    let mail = mail.await?;
    ensure!(mail.says(&scene.event.name), "{mail:?}");
    ensure!(
        mail.says("Ada Lovelace") && !mail.says("payment"),
        "{mail:?}"
    );
    eventually(SOON, "one seat to be left", async || {
        Ok((scene.available(ticket_type).await? == 1).then_some(()))
    })
    .await?;

    // Nobody who reads the ledger learns who it is.
    let order = listed["ticket"]["order_id"].as_str().context("an order")?;
    let order: Uuid = order.parse()?;
    let mut orders = scene.stack.records(CHECKOUT_ORDERS.name)?;
    let (reserved, _) = orders.wait_for_key::<OrderReserved>(order, SOON).await?;
    let mut payments = scene.stack.records(CHECKOUT_PAYMENTS.name)?;
    let (paid, _) = payments
        .wait_for_key::<PaymentConfirmed>(order, SOON)
        .await?;
    for record in [reserved, paid] {
        ensure!(!record.has("Ada") && !record.has(&email), "{record}");
    }
    Ok(())
}

#[tokio::test]
async fn no_window_keeps_a_guest_out_and_no_seat_does() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(1).at_most(1)]).await?;
    let ticket_type = scene.event.ticket_types[0];
    let wish = async |email: &str| {
        let body = guest(email, ticket_type);
        scene.list(&scene.organizer, &body).send().await
    };
    wish(&fresh_email("first")).await?.expect(201)?;
    let late = wish(&fresh_email("late")).await?;
    late.expect_problem(409, "sold-out")?;
    let unknown = guest(&fresh_email("guest"), new_id());
    let unknown = scene.list(&scene.organizer, &unknown).send().await?;
    unknown.expect_problem(404, "unknown-ticket-type")?;
    let wrong =
        json!({"name": " ", "email": "nobody", "phone": "1", "ticket_type_id": ticket_type});
    let wrong = scene.list(&scene.organizer, &wrong).send().await?;
    let pointers: Vec<_> = wrong.body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["pointer"].as_str())
        .collect();
    ensure!(pointers == ["/name", "/email", "/phone"], "{wrong}");
    Ok(())
}

#[tokio::test]
async fn only_who_organizes_the_event_puts_guests_on_its_list() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(2)]).await?;
    let body = guest(&fresh_email("guest"), scene.event.ticket_types[0]);
    let customer = scene.list(&scene.buyer, &body).send().await?;
    customer.expect_problem(403, "forbidden")?;
    let other = scene.stack.user(&[Role::Organizer]).await?;
    let other = scene.list(&other, &body).send().await?;
    other.expect_problem(404, "not-found")?;
    let admin = scene.stack.user(&[Role::Admin]).await?;
    scene.list(&admin, &body).send().await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_cancelled_takes_no_guests_and_tells_those_it_has() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(2)]).await?;
    let email = fresh_email("guest");
    let body = guest(&email, scene.event.ticket_types[0]);
    scene
        .list(&scene.organizer, &body)
        .send()
        .await?
        .expect(201)?;
    let cancel = format!("/v1/events/{}/cancel", scene.event.id);
    let cancel = scene.stack.catalog().post(cancel).by(&scene.organizer);
    cancel.send().await?.expect(200)?;
    eventually(SOON, "the list to be closed", async || {
        let late = guest(&fresh_email("late"), scene.event.ticket_types[0]);
        let late = scene.list(&scene.organizer, &late).send().await?;
        Ok((late.status == 409 && late.body["code"] == "sale-closed").then_some(()))
    })
    .await?;
    let told = |mail: &e2e::Mail| mail.subject.starts_with("Cancelled: ");
    scene.stack.mailbox().wait_for(&email, SOON, told).await?;
    Ok(())
}

#[tokio::test]
async fn an_erased_guest_is_nowhere_and_the_seat_is_taken() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(2)]).await?;
    let ticket_type = scene.event.ticket_types[0];
    let email = fresh_email("guest");
    let key = new_id().to_string();
    let body = guest(&email, ticket_type);
    let wish = || scene.list(&scene.organizer, &body).idempotency_key(&key);
    let listed = wish().send().await?.expect(201)?;
    let id = listed["id"].as_str().context("an id")?;
    let mut guests = scene.stack.records(CHECKOUT_GUESTS.name)?;
    guests.wait_for_key::<GuestSnapshot>(id, SOON).await?;
    scene
        .stack
        .mailbox()
        .wait_for(&email, SOON, |_| true)
        .await?;

    let path = format!("/v1/events/{}/attendees/{id}", scene.event.id);
    let erase = |by: &User| scene.stack.checkout().delete(&path).by(by);
    erase(&scene.buyer)
        .send()
        .await?
        .expect_problem(403, "forbidden")?;
    for _ in 0..2 {
        ensure!(
            erase(&scene.organizer).send().await?.status == 204,
            "erased"
        );
    }
    guests
        .wait_for("the tombstone", SOON, |record| {
            record.key == id && record.is_tombstone()
        })
        .await?;
    // Whoever repeats the wish gets the ticket, of nobody.
    let again = wish().send().await?.expect(201)?;
    ensure!(again["attendee"].is_null(), "{again}");
    ensure!(again["ticket"]["id"] == listed["ticket"]["id"], "{again}");
    // What was sent is still known to have been sent, not to whom.
    let support = scene.stack.user(&[Role::Support]).await?;
    let order = listed["ticket"]["order_id"].as_str().context("an order")?;
    let path = format!("/v1/notifications?order_id={order}");
    eventually(SOON, "the history to forget the guest", async || {
        let page = scene.stack.mailer().get(&path).by(&support).send().await?;
        let page = page.expect(200)?;
        let sent = page["items"].get(0).context("a mail")?.clone();
        Ok((sent["recipients"] == json!([]) && sent["message"].is_null()).then_some(()))
    })
    .await?;
    ensure!(scene.available(ticket_type).await? == 1, "still a seat");
    Ok(())
}
