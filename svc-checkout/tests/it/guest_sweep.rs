//! Guests whose request died in the middle: what the sweeper makes of them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::orders::place;
use e2e::users::{fresh_email, id_of};
use e2e::wait::SOON;
use e2e::{TicketType, eventually};
use platform::clock::Timestamp;
use platform::config::CqlConfig;
use platform::cql;
use platform::ids::new_id;
use platform::person::email::Email;
use platform::person::name::Name;
use schemas::checkout::GuestSnapshot;
use schemas::topics::CHECKOUT_GUESTS;
use scylla::client::session::Session;
use scylla::value::CqlTimestamp;
use svc_checkout::domain::guest::{Guest, Person, Standing};
use svc_checkout::store::guests::GuestStore;
use uuid::Uuid;

use crate::Scene;

/// Longer than a request takes that is still at work.
pub(crate) const A_MINUTE: Duration = Duration::from_secs(60);
/// Longer than a guest without an order is kept.
const LONG_AGO: Duration = Duration::from_secs(25 * 3600);

/// The rows of the service.
struct Rows {
    session: Arc<Session>,
    guests: GuestStore,
}

impl Rows {
    async fn of(scene: &Scene) -> anyhow::Result<Self> {
        let config = CqlConfig {
            nodes: vec![scene.stack.cql_nodes.clone()],
            keyspace: "checkout".to_owned(),
            replication_factor: 1,
            datacenter: "datacenter1".to_owned(),
            credentials: None,
        };
        let session = cql::connect(&config).await?;
        let guests = GuestStore::new(Arc::clone(&session)).await?;
        Ok(Self { session, guests })
    }

    /// What a request leaves that dies before it has asked for the ticket, or before it has heard of it: the intent and
    /// the guest.
    async fn died(
        &self,
        scene: &Scene,
        order: Option<Uuid>,
        ago: Duration,
    ) -> anyhow::Result<(Guest, Uuid)> {
        let wanted_at = before(ago);
        let person = Person {
            name: Name::parse("Ada Lovelace")?,
            email: Email::parse(&fresh_email("guest"))?,
            phone: None,
        };
        let guest = Guest::wanted(
            scene.event.id,
            new_id(),
            scene.event.ticket_types[0],
            person,
            "en".to_owned(),
            (new_id(), wanted_at),
        );
        let guest = Guest {
            order_id: order.unwrap_or(guest.order_id),
            ..guest
        };
        // The other way round in life; here the sweeper would be quicker.
        ensure!(self.guests.want(&guest).await?, "a new guest");
        let intent = leave_intent(&self.session, "intents", guest.id, ago).await?;
        Ok((guest, intent))
    }

    /// Waits until the sweeper has been there.
    async fn swept(&self, intent: Uuid) -> anyhow::Result<()> {
        let bucket = bucket(intent)?;
        eventually(SOON, "the sweeper", async || {
            let select = "SELECT intent_id FROM intents WHERE bucket = ? AND intent_id = ?";
            let found = self.session.query_unpaged(select, (bucket, intent)).await?;
            Ok((found.into_rows_result()?.rows_num() == 0).then_some(()))
        })
        .await
    }

    async fn becomes(
        &self,
        id: Uuid,
        what: &str,
        standing: Option<Standing>,
    ) -> anyhow::Result<()> {
        eventually(SOON, what, async || {
            let guest = self.guests.find(id).await?;
            Ok((guest.map(|guest| guest.standing) == standing).then_some(()))
        })
        .await
    }
}

fn before(ago: Duration) -> Timestamp {
    let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(Timestamp::now().as_micros() - micros)
}

/// What a request leaves that dies before it has published what it changed.
pub(crate) async fn leave_intent(
    session: &Session,
    table: &str,
    aggregate_id: Uuid,
    ago: Duration,
) -> anyhow::Result<Uuid> {
    let intent = new_id();
    let at = CqlTimestamp(before(ago).as_micros() / 1_000);
    let insert =
        format!("INSERT INTO {table} (bucket, intent_id, aggregate_id, at) VALUES (?, ?, ?, ?)");
    let values = (bucket(intent)?, intent, aggregate_id, at);
    session.query_unpaged(insert, values).await?;
    Ok(intent)
}

/// As `platform::intent` spreads them.
fn bucket(intent: Uuid) -> anyhow::Result<i32> {
    Ok(i32::try_from(intent.as_u128() % 16)?)
}

#[tokio::test]
async fn a_guest_whose_request_died_is_listed_or_forgotten() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(5).at(0)]).await?;
    let rows = Rows::of(&scene).await?;
    let mut records = scene.stack.records_from_now(CHECKOUT_GUESTS.name)?;
    // Nothing to pay: it is paid at once, as a guest's order is.
    let lines = [(scene.event.ticket_types[0], 1)];
    let order = place(scene.stack.checkout(), &scene.buyer, scene.event.id, &lines);
    let order = id_of(&order.send().await?.expect(201)?)?;

    let (undecided, intent) = rows.died(&scene, None, A_MINUTE).await?;
    let (without, _) = rows.died(&scene, None, LONG_AGO).await?;
    let (with_ticket, _) = rows.died(&scene, Some(order), A_MINUTE).await?;

    let (_, told) = records
        .wait_for_key::<GuestSnapshot>(with_ticket.id, SOON)
        .await
        .context("the mailer is told of the one with a ticket")?;
    ensure!(told.order_id == order, "{told:?}");
    rows.becomes(
        with_ticket.id,
        "a ticket's guest to be listed",
        Some(Standing::Listed),
    )
    .await?;
    rows.becomes(without.id, "the one without an order to be forgotten", None)
        .await?;
    // The command may still be decided.
    rows.swept(intent).await?;
    let undecided = rows.guests.find(undecided.id).await?;
    let undecided = undecided.context("forgotten within a minute")?;
    ensure!(undecided.standing == Standing::Wanted, "{undecided:?}");
    Ok(())
}
