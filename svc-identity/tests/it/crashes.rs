//! What a crash between two steps leaves behind, written by hand, and what becomes of it.

use std::time::Duration;

use e2e::users::{fresh_email, id_of, register, sign_in};
use e2e::{Stack, eventually};
use platform::clock::Timestamp;
use platform::ids::new_id;
use schemas::identity::UserSnapshot;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlTimestamp;
use serde_json::json;
use uuid::Uuid;

use crate::erasure::is_gone;

/// As `infra/local/stack` names it.
const KEYSPACE: &str = "identity";
/// As `platform::intent` spreads intents.
const INTENT_BUCKETS: u128 = 16;
const SOON: Duration = Duration::from_secs(30);

pub(crate) async fn database(stack: &Stack) -> anyhow::Result<Session> {
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
        .query_unpaged(claim, (&email, id, just_now()))
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

/// One of long ago is given back by whoever starts.
fn just_now() -> CqlTimestamp {
    CqlTimestamp(Timestamp::now().as_millis())
}

/// An intent of long ago.
pub(crate) async fn owe(database: &Session, aggregate: Uuid) -> anyhow::Result<()> {
    owe_in(database, "intents", aggregate).await
}

/// An intent of long ago, of the kind that `table` has.
pub(crate) async fn owe_in(database: &Session, table: &str, user: Uuid) -> anyhow::Result<()> {
    let owe =
        format!("INSERT INTO {table} (bucket, intent_id, aggregate_id, at) VALUES (?, ?, ?, ?)");
    let intent = new_id();
    let bucket = i32::try_from(intent.as_u128() % INTENT_BUCKETS)?;
    let values = (bucket, intent, user, CqlTimestamp(0));
    database.query_unpaged(owe, values).await?;
    Ok(())
}

#[tokio::test]
async fn what_an_old_intent_owes_is_published() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, nobody) = (stack.customer().await?, new_id());
    let database = database(&stack).await?;
    let mut topic = stack.records_from_now("identity.users")?;
    // In this order: the sweeper has looked at the first one when it publishes the second one, or does so in the same round.
    for aggregate in [nobody, user.id] {
        owe(&database, aggregate).await?;
    }
    let (_, snapshot) = topic.wait_for_key::<UserSnapshot>(user.id, SOON).await?;
    assert_eq!((snapshot.version, &snapshot.email), (1, &user.email));
    eventually(SOON, "the intents to be gone", async || {
        let left = "SELECT aggregate_id FROM intents";
        let left = database.query_unpaged(left, ()).await?.into_rows_result()?;
        let mut owed = left.rows::<(Uuid,)>()?;
        let ours = owed.any(|row| row.is_ok_and(|(id,)| id == nobody || id == user.id));
        Ok((!ours).then_some(()))
    })
    .await?;
    // Of a user that was never made nothing is said: a tombstone would outlive the user that is still to come.
    let said = stack.all_records("identity.users").await?;
    assert!(!said.iter().any(|record| record.key == nobody.to_string()));
    Ok(())
}

/// An erasure after which the process died.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Died {
    BeforeTheRow,
    AfterTheRow,
    AfterTheClaim,
    AfterTheAddress,
}

#[tokio::test]
async fn a_broken_off_erasure_happened_or_it_did_not() -> anyhow::Result<()> {
    const ROW: &str = "UPDATE users SET version = 2, operation_id = ?, status = 'erasing', name = null, \
        phone = null, locale = null, roles = null, email_verified = null, password_hash = null, \
        created_at = null, epoch = null WHERE user_id = ? IF version = 1";
    const CLAIM: &str = "DELETE FROM email_claims WHERE email = ? IF user_id = ?";
    const ADDRESS: &str =
        "UPDATE users SET email = null, status = 'erased' WHERE user_id = ? IF status = 'erasing'";
    let stack = Stack::from_env();
    let database = database(&stack).await?;
    let mut topic = stack.records_from_now("identity.users")?;
    for died in [
        Died::BeforeTheRow,
        Died::AfterTheRow,
        Died::AfterTheClaim,
        Died::AfterTheAddress,
    ] {
        let user = stack.customer().await?;
        if died >= Died::AfterTheRow {
            database.query_unpaged(ROW, (new_id(), user.id)).await?;
            let nobody = sign_in(stack.identity(), &user.email).await?;
            assert!(nobody.is_none(), "{died:?}");
            // Nobody gets the address, or the id, while it is in the making.
            let body = json!({"email": user.email, "password": e2e::PASSWORD, "name": "Next"});
            if died == Died::AfterTheRow {
                let early = stack
                    .identity()
                    .post("/v1/users")
                    .json(&body)
                    .send()
                    .await?;
                early.expect_problem(409, "email-taken")?;
            }
        }
        if died >= Died::AfterTheClaim {
            let values = (&user.email, user.id);
            database.query_unpaged(CLAIM, values).await?;
        }
        if died >= Died::AfterTheAddress {
            database.query_unpaged(ADDRESS, (user.id,)).await?;
        }
        owe(&database, user.id).await?;
        let key = user.id.to_string();
        if died == Died::BeforeTheRow {
            // Once when the user was made and once more.
            for _ in 0..2 {
                let (_, snapshot) = topic.wait_for_key::<UserSnapshot>(user.id, SOON).await?;
                assert_eq!((snapshot.version, &snapshot.email), (1, &user.email));
            }
            assert!(sign_in(stack.identity(), &user.email).await?.is_some());
            continue;
        }
        let is_tombstone = |record: &e2e::SeenRecord| record.key == key && record.name.is_empty();
        topic.wait_for("a tombstone", SOON, is_tombstone).await?;
        is_gone(&stack, &user).await?;
        let next = register(stack.identity(), &user.email, "Next", "en").await?;
        assert_ne!(id_of(&next)?, user.id, "{died:?}");
    }
    Ok(())
}
