//! Whoever is erased is nowhere: every table of every service and every topic is looked through for what only this person
//! is called.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::users::{id_of, sign_in};
use e2e::wait::SOON;
use e2e::{PASSWORD, Role, Stack, TicketType, User, eventually, orders};
use futures::TryStreamExt as _;
use platform::ids::new_id;
use platform::kafka::client_config;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use scylla::client::session::Session;
use serde_json::{Value, json};

use crate::crashes::database;

/// As `infra/local/stack` names them.
const KEYSPACES: [&str; 4] = ["identity", "catalog", "checkout", "mailer"];
/// A broker on this machine answers at once.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Those of which compaction keeps the last record of a key alone, and in which a person may stand.
const TABLES: [&str; 2] = ["identity.users", "checkout.attendees"];

/// What nobody else is called.
struct Markers {
    /// In the name, the address and a message to support.
    word: String,
    phone: String,
}

impl Markers {
    fn new() -> Self {
        let id = new_id();
        Self {
            word: format!("m{}", id.simple()),
            phone: format!("+3369{:010}", id.as_u128() % 10_000_000_000),
        }
    }

    fn all(&self) -> [&str; 2] {
        [&self.word, &self.phone]
    }
}

/// Somebody with a paid order, a ticket that has the same name, mails about it and a case with support.
async fn lively(stack: &Stack, markers: &Markers) -> anyhow::Result<(User, Value)> {
    let email = format!("{}@example.com", markers.word);
    let body = json!({
        "email": email, "password": PASSWORD, "name": format!("Zoë {}", markers.word),
        "phone": markers.phone,
    });
    let register = stack.identity().post("/v1/users").json(&body);
    register.send().await?.expect(201)?;
    let user = sign_in(stack.identity(), &email).await?.context("a user")?;
    crate::cases::open(stack.identity(), &user, "Help", &markers.word).await?;
    // Another address that is wished for, and one of before.
    let next = format!("{}@example.org", markers.word);
    let token = crate::email_change::wished(stack, &user, &next).await?;
    let moved = crate::email_change::confirm(stack, &token).await?;
    assert_eq!(moved.status, 204, "{moved}");
    let user = sign_in(stack.identity(), &next).await?.context("a user")?;
    let wish = format!("{}@example.net", markers.word);
    crate::email_change::wished(stack, &user, &wish).await?;
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(10)];
    let event = stack.published_event(&organizer, &types).await?;
    let lines = [(event.ticket_types[0], 2)];
    let order = orders::place(stack.checkout(), &user, event.id, &lines);
    let order = id_of(&order.send().await?.expect(201)?)?;
    let paid = orders::pay(stack.checkout(), &user, order, orders::CARD_PAID);
    let paid = paid.send().await?.expect(200)?;
    let who = json!({"name": markers.word, "email": email, "phone": markers.phone});
    let ticket = id_of(&paid["tickets"][0])?;
    let path = format!("/v1/tickets/{ticket}/attendee");
    let named = stack.checkout().put(path).by(&user).json(&who);
    named.if_match("*").send().await?.expect(200)?;
    eventually(SOON, "the mail about the order", async || {
        let list = stack.mailer().get("/v1/notifications").by(&user);
        let page = list.send().await?.expect(200)?;
        let mails = page["items"].as_array().context("items")?;
        let is_sent = |mail: &Value| mail["status"] == "sent" && !mail["order_id"].is_null();
        Ok(mails.iter().any(is_sent).then_some(()))
    })
    .await?;
    Ok((user, paid))
}

/// Rows in which there is a marker, as `keyspace.table: row`.
pub(crate) async fn rows_with(database: &Session, markers: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for keyspace in KEYSPACES {
        let tables = database
            .query_unpaged(
                "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?",
                (keyspace,),
            )
            .await?
            .into_rows_result()?;
        let tables: Vec<(String,)> = tables.rows()?.collect::<Result<_, _>>()?;
        ensure!(!tables.is_empty(), "no tables in {keyspace}");
        for (table,) in tables {
            let all = format!("SELECT JSON * FROM {keyspace}.{table}");
            let mut rows = database
                .query_iter(all, ())
                .await?
                .rows_stream::<(String,)>()?;
            while let Some((row,)) = rows.try_next().await? {
                if markers.iter().any(|marker| row.contains(marker)) {
                    found.push(format!("{keyspace}.{table}: {row}"));
                }
            }
        }
    }
    Ok(found)
}

/// Every topic of every service, also one that was added yesterday, and dead letters.
fn topics(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let broker: BaseConsumer = client_config(&stack.kafka_brokers, "e2e").create()?;
    let metadata = broker.fetch_metadata(None, METADATA_TIMEOUT)?;
    let names = metadata.topics().iter().map(|topic| topic.name());
    let is_ours = |name: &&str| {
        let owner = name.split_once('.').map(|(owner, _)| owner);
        owner.is_some_and(|owner| KEYSPACES.contains(&owner))
    };
    Ok(names.filter(is_ours).map(str::to_owned).collect())
}

/// Topics with a marker in a record that no tombstone of its key follows.
async fn topics_with(stack: &Stack, markers: &Markers) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for topic in topics(stack)? {
        let records = stack.all_records(&topic).await?;
        for (index, record) in records.iter().enumerate() {
            if !markers.all().iter().any(|marker| record.has(marker)) {
                continue;
            }
            let later = records
                .iter()
                .skip(index)
                .rfind(|later| later.key == record.key);
            // What compaction takes away is as good as gone; a log keeps it.
            let is_erased =
                later.is_some_and(|last| TABLES.contains(&topic.as_str()) && last.is_tombstone());
            if !is_erased {
                found.insert(topic.clone());
            }
        }
    }
    Ok(found)
}

#[tokio::test]
async fn whoever_is_erased_is_in_no_table_and_on_no_topic() -> anyhow::Result<()> {
    let (stack, markers) = (Stack::from_env(), Markers::new());
    let (user, paid) = lively(&stack, &markers).await?;
    let database = database(&stack).await?;
    // The search finds what is there.
    let rows = rows_with(&database, &markers.all()).await?;
    for place in [
        "identity.users",
        "identity.email_claims",
        "identity.support_cases",
        "checkout.attendees",
        "mailer.recipients",
        "mailer.notifications",
    ] {
        ensure!(
            rows.iter().any(|row| row.starts_with(place)),
            "{place} has nothing of the person: {rows:?}"
        );
    }
    assert_eq!(
        topics_with(&stack, &markers).await?,
        TABLES.map(str::to_owned).into()
    );

    let erase = stack.identity().delete("/v1/users/me").by(&user);
    assert_eq!(erase.send().await?.status, 204);
    let mut left = Vec::new();
    let gone = eventually(SOON, "the person to be gone", async || {
        Ok(rows_with(&database, &markers.all())
            .await?
            .is_empty()
            .then_some(()))
    })
    .await;
    if gone.is_err() {
        left = rows_with(&database, &markers.all()).await?;
    }
    assert_eq!(left, Vec::<String>::new());
    eventually(SOON, "the topics to forget the person", async || {
        Ok(topics_with(&stack, &markers)
            .await?
            .is_empty()
            .then_some(()))
    })
    .await?;

    // What was paid was paid.
    let support = stack.user(&[Role::Support]).await?;
    let order = format!("/v1/orders/{}", id_of(&paid)?);
    let order = stack.checkout().get(order).by(&support).send().await?;
    let order = order.expect(200)?;
    assert_eq!(
        (&order["total"], &order["lines"], &order["status"]),
        (&paid["total"], &paid["lines"], &json!("paid"))
    );
    Ok(())
}
