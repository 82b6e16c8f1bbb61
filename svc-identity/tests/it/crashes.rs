//! What a crash between two steps leaves behind, written by hand, and what becomes of it.

use std::time::Duration;

use e2e::Stack;
use e2e::users::{fresh_email, id_of};
use platform::ids::new_id;
use schemas::identity::UserSnapshot;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlTimestamp;
use serde_json::json;

/// As `infra/local/stack` names it.
const KEYSPACE: &str = "identity";
/// As `platform::intent` spreads intents.
const INTENT_BUCKETS: u128 = 16;
const SOON: Duration = Duration::from_secs(30);

async fn database(stack: &Stack) -> anyhow::Result<Session> {
    let nodes: Vec<&str> = stack.cql_nodes.split(',').collect();
    Ok(SessionBuilder::new()
        .known_nodes(nodes)
        .use_keyspace(KEYSPACE, false)
        .build()
        .await?)
}

#[tokio::test]
async fn a_claim_without_a_user_is_carried_on_by_the_next_one_who_wants_the_address()
-> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (email, id) = (fresh_email("half"), new_id());
    let claim =
        "INSERT INTO email_claims (email, user_id, claimed_at) VALUES (?, ?, ?) IF NOT EXISTS";
    database(&stack)
        .await?
        .query_unpaged(claim, (&email, id, CqlTimestamp(0)))
        .await?;

    let credentials = json!({"email": email, "password": e2e::PASSWORD});
    let nobody = stack
        .identity()
        .post("/v1/sessions")
        .json(&credentials)
        .send()
        .await?;
    nobody.expect_problem(401, "bad-credentials")?;
    let body = json!({"email": email, "password": e2e::PASSWORD, "name": "Second"});
    let user = stack
        .identity()
        .post("/v1/users")
        .json(&body)
        .send()
        .await?
        .expect(201)?;
    assert_eq!(id_of(&user)?, id);
    stack
        .identity()
        .post("/v1/sessions")
        .json(&credentials)
        .send()
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_an_old_intent_owes_is_published() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, nobody) = (stack.customer().await?, new_id());
    let database = database(&stack).await?;
    let mut topic = stack.records_from_now("identity.users")?;
    let owe = "INSERT INTO intents (bucket, intent_id, aggregate_id, at) VALUES (?, ?, ?, ?)";
    for aggregate in [user.id, nobody] {
        let intent = new_id();
        let bucket = i32::try_from(intent.as_u128() % INTENT_BUCKETS)?;
        database
            .query_unpaged(owe, (bucket, intent, aggregate, CqlTimestamp(0)))
            .await?;
    }

    let (_, snapshot) = topic.wait_for_key::<UserSnapshot>(user.id, SOON).await?;
    assert_eq!((snapshot.version, snapshot.email), (1, user.email));
    // Of a user that was never made there is nothing to say, and that is said.
    let mut topic = stack.records("identity.users")?;
    let tombstone = topic
        .wait_for("a tombstone", SOON, |record| {
            record.key == nobody.to_string()
        })
        .await?;
    assert_eq!(tombstone.name, "");
    Ok(())
}
