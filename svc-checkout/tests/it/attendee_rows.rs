//! What owners said of their tickets, in the rows and on the topic: after a crash, and after they were erased.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use e2e::records::SeenRecord;
use e2e::users::{fresh_email, id_of};
use e2e::wait::SOON;
use e2e::{Role, TicketType, eventually};
use platform::clock::Timestamp;
use platform::cql;
use platform::ids::new_id;
use schemas::checkout::{self as record, AttendeeSnapshot};
use schemas::topics::CHECKOUT_ATTENDEES;
use scylla::client::session::Session;
use serde_json::json;
use svc_checkout::domain::attendee::{Attendance, Attendee};
use svc_checkout::store::attendees::AttendeeStore;
use svc_checkout::store::erased_users::ErasedUserStore;
use svc_checkout::store::orders::OrderStore;
use uuid::Uuid;

use crate::Scene;
use crate::audit::stores;
use crate::guest_sweep::{A_MINUTE, leave_intent};

/// The rows of the service.
struct Rows {
    session: Arc<Session>,
    attendees: AttendeeStore,
    erased_users: ErasedUserStore,
    orders: OrderStore,
}

impl Rows {
    async fn of(scene: &Scene) -> anyhow::Result<Self> {
        let session = cql::connect(&stores(&scene.stack, "checkout")?.cql).await?;
        Ok(Self {
            attendees: AttendeeStore::new(Arc::clone(&session)).await?,
            erased_users: ErasedUserStore::new(Arc::clone(&session)).await?,
            orders: OrderStore::new(Arc::clone(&session)).await?,
            session,
        })
    }

    /// What a request leaves that dies before it has published what it wrote.
    async fn died(&self, order: Uuid, ticket: Uuid) -> anyhow::Result<()> {
        let order = self.orders.find(order).await?.context("an order")?;
        let said = Attendee::unknown(&order, ticket);
        let said = said.say(Attendance::Confirmed, (new_id(), [1; 32]), Timestamp::now());
        ensure!(self.attendees.put(&said).await?, "the first word");
        leave_intent(&self.session, "attendee_intents", order.id, A_MINUTE).await?;
        Ok(())
    }

    /// That nothing is left of what was said.
    async fn are_empty(&self, order: Uuid, ticket: Uuid) -> anyhow::Result<()> {
        let row = self.attendees.find(order, ticket).await?;
        let row = row.context("a row that says no more")?;
        ensure!(row.is_erased && row.operations.is_empty(), "{row:?}");
        ensure!(
            row.attendance == Attendance::Pending && row.person.is_none(),
            "{row:?}"
        );
        Ok(())
    }
}

impl Scene {
    async fn erase_buyer(&self) -> anyhow::Result<()> {
        let erase = self.stack.identity().delete("/v1/users/me");
        let erased = erase.by(&self.buyer).send().await?;
        ensure!(erased.status == 204, "{erased}");
        Ok(())
    }

    /// The records about a ticket, oldest first.
    async fn records_of(&self, ticket: Uuid) -> anyhow::Result<Vec<SeenRecord>> {
        let mut all = self.stack.all_records(CHECKOUT_ATTENDEES.name).await?;
        all.retain(|record| record.key == ticket.to_string());
        Ok(all)
    }
}

#[tokio::test]
async fn what_was_said_before_a_crash_is_published_after_it() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let rows = Rows::of(&scene).await?;
    let paid = scene.paid_order(1).await?;
    let (order, ticket) = (id_of(&paid)?, id_of(&paid["tickets"][0])?);
    let mut records = scene.stack.records_from_now(CHECKOUT_ATTENDEES.name)?;
    rows.died(order, ticket).await?;
    let (_, told) = records
        .wait_for_key::<AttendeeSnapshot>(ticket, SOON)
        .await?;
    ensure!(told.attendance == record::Attendance::Confirmed, "{told:?}");
    ensure!(told.version == 1 && told.order_id == order, "{told:?}");
    Ok(())
}

#[tokio::test]
async fn what_an_erased_owner_said_is_gone_and_the_ticket_stays() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let rows = Rows::of(&scene).await?;
    let paid = scene.paid_order(2).await?;
    let order = id_of(&paid)?;
    let (said, silent) = (id_of(&paid["tickets"][0])?, id_of(&paid["tickets"][1])?);
    let confirm = |ticket| scene.say(&scene.buyer, ticket, "confirmed").send();
    confirm(said).await?.expect(200)?;
    let ada = json!({"name": "Ada Lovelace", "email": fresh_email("ada"), "phone": "+33612345678"});
    let named = scene.name(&scene.buyer, said, &ada).if_match("*");
    named.send().await?.expect(200)?;
    scene.erase_buyer().await?;
    eventually(SOON, "a tombstone", async || {
        let records = scene.records_of(said).await?;
        let last = records.last().context("what was said")?;
        Ok(last.is_tombstone().then_some(()))
    })
    .await?;
    rows.are_empty(order, said).await?;

    // Nor is the access token good any more.
    eventually(SOON, "the token to be over", async || {
        let listed = scene.stack.checkout().get("/v1/tickets");
        let status = listed.by(&scene.buyer).send().await?.status;
        Ok((status == 401).then_some(()))
    })
    .await?;
    for ticket in [said, silent] {
        let said = confirm(ticket).await?;
        said.expect_problem(401, "unauthenticated")?;
        let read = scene.attendee(&scene.buyer, ticket).send().await?;
        read.expect_problem(401, "unauthenticated")?;
        let named = scene.name(&scene.buyer, ticket, &ada).if_match("*");
        let named = named.send().await?;
        named.expect_problem(401, "unauthenticated")?;
    }
    ensure!(rows.attendees.find(order, silent).await?.is_none());
    let support = scene.stack.user(&[Role::Support]).await?;
    let shown = scene.stack.checkout().get(format!("/v1/orders/{order}"));
    let shown = shown.by(&support).send().await?.expect(200)?;
    for ticket in [&shown["tickets"][0], &shown["tickets"][1]] {
        ensure!(ticket["status"] == "valid", "{shown}");
        ensure!(ticket["attendance"] == "pending", "{shown}");
        ensure!(ticket["attendee"].is_null(), "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn a_word_that_comes_behind_the_erasure_goes_unpublished() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let rows = Rows::of(&scene).await?;
    let paid = scene.paid_order(1).await?;
    let (order, ticket) = (id_of(&paid)?, id_of(&paid["tickets"][0])?);
    scene.erase_buyer().await?;
    eventually(SOON, "the erasure to be known", async || {
        let is_known = rows.erased_users.has(scene.buyer.id).await?;
        Ok(is_known.then_some(()))
    })
    .await?;
    // Of a request that had looked before.
    rows.died(order, ticket).await?;
    let records = eventually(SOON, "a record", async || {
        let records = scene.records_of(ticket).await?;
        Ok((!records.is_empty()).then_some(records))
    })
    .await?;
    ensure!(
        records.iter().all(SeenRecord::is_tombstone),
        "it was published: {records:?}"
    );
    rows.are_empty(order, ticket).await
}
