//! A registration that broke off after its claim of the address, and that nobody carried on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::users::{fresh_email, id_of, register, sign_in};
use e2e::{PASSWORD, Stack, eventually};
use platform::clock::Timestamp;
use platform::ids::new_id;
use scylla::client::session::Session;
use scylla::value::CqlTimestamp;
use serde_json::json;
use svc_identity::abandoned_claims::AbandonedClaims;
use svc_identity::domain::account::State;
use svc_identity::domain::email::Email;
use svc_identity::store::email_claims::EmailClaims;
use svc_identity::store::users::Users;
use tokio::time::sleep;
use uuid::Uuid;

use crate::crashes::database;
use crate::own::Own;

/// A start looks at all claims, a page of them every few seconds.
const LOOKED_AT: Duration = Duration::from_secs(120);
/// Of other tests, living users alone have claims from before.
const LONG_AGO: Timestamp = Timestamp::from_millis(1_000);
/// Rounds of a race.
const ROUNDS: u32 = 20;

/// The database, and what gives claims back.
struct Case {
    session: Arc<Session>,
    abandoned: AbandonedClaims,
}

impl Case {
    async fn new(stack: &Stack) -> anyhow::Result<Self> {
        let session = Arc::new(database(stack).await?);
        let abandoned = AbandonedClaims {
            claims: Arc::new(EmailClaims::new(Arc::clone(&session)).await?),
            users: Arc::new(Users::new(Arc::clone(&session)).await?),
        };
        Ok(Self { session, abandoned })
    }

    /// An address that is claimed, and the id that it is claimed for, which is nobody's.
    async fn claimed(&self) -> anyhow::Result<(String, Uuid)> {
        let (email, id) = (fresh_email("claimed"), new_id());
        let claim =
            "INSERT INTO email_claims (email, user_id, claimed_at) VALUES (?, ?, ?) IF NOT EXISTS";
        // One of long ago would be given back by whoever starts in this moment.
        let now = CqlTimestamp(Timestamp::now().as_millis());
        let values = (&email, id, now);
        self.session.query_unpaged(claim, values).await?;
        Ok((email, id))
    }

    async fn holder(&self, email: &str) -> anyhow::Result<Option<Uuid>> {
        let key = Email::parse(email)?.key();
        let claim = self.abandoned.claims.find_newest(&key).await?;
        Ok(claim.map(|claim| claim.holder))
    }

    /// Says that it was claimed long ago.
    async fn age(&self, email: &str, holder: Uuid) -> anyhow::Result<()> {
        let age = "UPDATE email_claims SET claimed_at = ? WHERE email = ? IF user_id = ?";
        let values = (CqlTimestamp(0), email, holder);
        self.session.query_unpaged(age, values).await?;
        Ok(())
    }

    async fn is_used_up(&self, id: Uuid) -> anyhow::Result<bool> {
        let state = self.abandoned.users.find_state(id).await?;
        Ok(matches!(state, State::Erased))
    }
}

/// An address whose registration died after the claim, and the id of the claim.
async fn died(case: &Case) -> anyhow::Result<(String, Uuid)> {
    let own = Own::start(&[("IDENTITY_CRASH_AT", "claimed")]).await?;
    let email = fresh_email("died");
    let body = json!({"email": email, "password": PASSWORD, "name": "First"});
    let answer = own.api.post("/v1/users").json(&body).send().await;
    ensure!(answer.is_err(), "it lives on");
    let holder = case.holder(&email).await?.context("a claim")?;
    Ok((email, holder))
}

#[tokio::test]
async fn a_claim_that_nobody_carries_on_is_given_back() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let case = Case::new(&stack).await?;
    let (old, old_id) = died(&case).await?;
    let (young, young_id) = died(&case).await?;
    let user = stack.customer().await?;
    for (email, holder) in [(&old, old_id), (&user.email, user.id)] {
        case.age(email, holder).await?;
    }
    let _starts = Own::start(&[]).await?;
    eventually(LOOKED_AT, "the claim to be given back", async || {
        Ok(case.holder(&old).await?.is_none().then_some(()))
    })
    .await?;
    // All the others are looked at as well, twice: what another one did before is as good.
    for _ in 0..2 {
        let mut after = None;
        loop {
            let page = case.abandoned.release_page(after.as_ref(), LONG_AGO);
            let (_, next) = page.await?;
            let Some(next) = next else { break };
            after = Some(next);
        }
    }

    // The registration that was stopped there goes on.
    ensure!(case.is_used_up(old_id).await?, "the id can be had again");
    let late = "INSERT INTO users (user_id, version, operation_id, email) VALUES (?, 1, ?, ?) IF NOT EXISTS";
    let values = (old_id, new_id(), &old);
    case.session.query_unpaged(late, values).await?;
    ensure!(case.is_used_up(old_id).await?, "it made a user");
    let next = register(stack.identity(), &old, "Next", "en").await?;
    assert_ne!(id_of(&next)?, old_id);
    let there = sign_in(stack.identity(), &old).await?;
    assert_eq!(there.map(|there| there.id), Some(id_of(&next)?));
    let carried_on = register(stack.identity(), &young, "Second", "en").await?;
    assert_eq!(id_of(&carried_on)?, young_id);
    let there = sign_in(stack.identity(), &user.email).await?;
    assert_eq!(there.map(|there| there.id), Some(user.id));
    Ok(())
}

#[tokio::test]
async fn whoever_carries_a_claim_on_while_it_is_given_back_gets_the_address() -> anyhow::Result<()>
{
    let stack = Stack::from_env();
    let case = Case::new(&stack).await?;
    let began = Instant::now();
    register(stack.identity(), &fresh_email("measured"), "First", "en").await?;
    let takes = began.elapsed();
    for round in 0..=ROUNDS {
        let (email, id) = case.claimed().await?;
        let key = Email::parse(&email)?.key();
        let given_back = async {
            // Somewhere in the middle of the registration, elsewhere in each round.
            sleep(takes * round / ROUNDS).await;
            anyhow::Ok(case.abandoned.give_back(&key, id).await?)
        };
        let registered = async {
            let user = register(stack.identity(), &email, "Next", "en").await?;
            id_of(&user)
        };
        let (given_back, registered) = match round {
            0 => (given_back.await?, registered.await?),
            ROUNDS => {
                let registered = registered.await?;
                (given_back.await?, registered)
            }
            _ => tokio::try_join!(given_back, registered)?,
        };
        assert_eq!(registered == id, !given_back, "round {round}");
        assert_eq!(case.is_used_up(id).await?, given_back, "round {round}");
        match round {
            0 => assert!(given_back),
            ROUNDS => assert!(!given_back),
            _ => {}
        }
        let there = sign_in(stack.identity(), &email).await?;
        let there = there.map(|there| there.id);
        assert_eq!(
            (there, case.holder(&email).await?),
            (Some(registered), there)
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_id_that_is_used_up_keeps_nobody_from_the_address() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let case = Case::new(&stack).await?;
    // Whoever gave the claim back died between the two steps; so it looks, too, to a registration that found the claim before.
    let (email, id) = case.claimed().await?;
    case.abandoned.users.use_up(id).await?;
    assert!(sign_in(stack.identity(), &email).await?.is_none());
    let user = id_of(&register(stack.identity(), &email, "Next", "en").await?)?;
    assert_ne!(user, id);
    assert_eq!(case.holder(&email).await?, Some(user));
    // Of a user nothing is used up.
    case.abandoned.users.use_up(user).await?;
    let there = sign_in(stack.identity(), &email).await?;
    assert_eq!(there.map(|there| there.id), Some(user));
    Ok(())
}
