//! The process dies in the middle of a change of address, and of an erasure, at each of their steps. What there is then is one
//! user with one address, or nobody, and what is left to do is done without anybody's help.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::users::{fresh_email, id_of, register, sign_in};
use e2e::{Stack, User, eventually};
use schemas::identity::UserSnapshot;
use scylla::client::session::Session;
use serde_json::json;
use uuid::Uuid;

use crate::cases::open;
use crate::crashes::database;
use crate::email_change::wished;
use crate::erasure::is_gone;
use crate::own::Own;

/// Until the sweepers take what is owed for left behind, and a few of their rounds.
const SWEPT: Duration = Duration::from_secs(90);

/// Steps of `Accounts::grant_wish`, and of `AddressMoves` that it leads to, after which the process dies; whether the user has
/// the new address then, and whether in the end.
const STEPS_OF_A_MOVE: [(&str, bool, bool); 9] = [
    ("old-address-owed", false, false),
    ("change-owed", false, false),
    ("changed", false, true),
    ("address-claimed", false, true),
    ("moved", true, true),
    ("old-address-released", true, true),
    ("move-settled", true, true),
    ("user-published", true, true),
    ("change-settled", true, true),
];

/// Steps of `Accounts::erase`, and of `UserTopic` that it leads to; whether there is a user then, and in the end.
const STEPS_OF_AN_ERASURE: [(&str, bool); 8] = [
    ("erasure-owed", true),
    ("erasure-begun", false),
    ("cases-erased", false),
    ("sign-ins-erased", false),
    ("address-released", false),
    ("row-erased", false),
    ("user-published", false),
    ("erasure-settled", false),
];

/// How many publications are owed of the user.
async fn owed(database: &Session, user: Uuid) -> anyhow::Result<usize> {
    let rows = database.query_unpaged("SELECT aggregate_id FROM intents", ());
    let rows = rows.await?.into_rows_result()?;
    let all: Vec<(Uuid,)> = rows.rows()?.collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|(id,)| *id == user).count())
}

async fn nothing_is_owed(database: &Session, user: Uuid, after: &str) -> anyhow::Result<()> {
    let what = format!("what is owed to be done after {after}");
    eventually(SWEPT, &what, async || {
        Ok((owed(database, user).await? == 0).then_some(()))
    })
    .await
}

/// An instance that dies after this step, for this user.
async fn dying(after: &str, user: &User) -> anyhow::Result<Own> {
    let at = format!("{after} {}", user.id);
    Own::start(&[("IDENTITY_CRASH_AT", &at)]).await
}

/// Which of the two addresses leads to the user: one, never both, and never none.
async fn is_at(stack: &Stack, user: &User, new: &str, moved: bool) -> anyhow::Result<()> {
    for (email, is_his) in [(new, moved), (&user.email, !moved)] {
        let there = sign_in(stack.identity(), email).await?;
        let there = there.map(|there| there.id);
        ensure!(there == is_his.then_some(user.id), "{email}: {there:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_change_of_address_that_breaks_off_leaves_one_user_with_one_address() -> anyhow::Result<()>
{
    let stack = Stack::from_env();
    let database = database(&stack).await?;
    let mut left = Vec::new();
    for (after, is_moved, moves) in STEPS_OF_A_MOVE {
        let (user, new) = (stack.customer().await?, fresh_email("moved"));
        let token = wished(&stack, &user, &new).await?;
        let own = dying(after, &user).await?;
        let call = own.api.post("/v1/email-changes/confirm");
        let answer = call.json(&json!({"token": token})).send().await;
        ensure!(answer.is_err(), "it lives on after {after}: {answer:?}");
        let found = is_at(&stack, &user, &new, is_moved).await;
        found.context(after)?;
        left.push((after, moves, user, new));
    }
    for (after, moved, user, new) in left {
        nothing_is_owed(&database, user.id, after).await?;
        is_at(&stack, &user, &new, moved).await.context(after)?;
        let (his, free) = match moved {
            true => (&new, &user.email),
            false => (&user.email, &new),
        };
        let key = user.id.to_string();
        let users = stack.all_records("identity.users").await?;
        let last = users.iter().rfind(|record| record.key == key);
        let last: UserSnapshot = last.context("a record")?.read()?;
        assert_eq!(&last.email, his, "{after}");
        let next = register(stack.identity(), free, "Next", "en").await?;
        assert_ne!(id_of(&next)?, user.id, "{after}");
    }
    Ok(())
}

#[tokio::test]
async fn an_erasure_that_breaks_off_is_whole_in_the_end() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let database = database(&stack).await?;
    let mut left = Vec::new();
    for (after, stays) in STEPS_OF_AN_ERASURE {
        let user = stack.customer().await?;
        let case = id_of(&open(stack.identity(), &user, "Help", "Please.").await?)?;
        let own = dying(after, &user).await?;
        let answer = own.api.delete("/v1/users/me").by(&user).send().await;
        ensure!(answer.is_err(), "it lives on after {after}: {answer:?}");
        let there = sign_in(stack.identity(), &user.email).await?;
        let stayed = stays.then_some(user.id);
        assert_eq!(there.map(|there| there.id), stayed, "{after}");
        left.push((after, stays, user, case));
    }
    for (after, stays, user, case) in left {
        nothing_is_owed(&database, user.id, after).await?;
        let there = sign_in(stack.identity(), &user.email).await?;
        if stays {
            assert_eq!(there.map(|there| there.id), Some(user.id), "{after}");
            continue;
        }
        assert!(there.is_none(), "{after}");
        is_gone(&stack, &user).await.context(after)?;
        let admin = stack.admin_token().await?;
        let case = stack.identity().get(format!("/v1/support/cases/{case}"));
        let case = case.token(&admin).send().await?;
        case.expect_problem(404, "not-found").context(after)?;
        let from = "SELECT client FROM recent_sign_ins WHERE user_id = ?";
        let from = database.query_unpaged(from, (user.id,)).await?;
        let from = from.into_rows_result()?.rows_num();
        assert_eq!(from, 0, "{after}");
        let next = register(stack.identity(), &user.email, "Next", "en").await?;
        assert_ne!(id_of(&next)?, user.id, "{after}");
    }
    Ok(())
}
