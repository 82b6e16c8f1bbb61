//! The process dies in the middle of a registration, at each of its steps. What there is then is one user or none, and what
//! is owed is done without anybody's help.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::users::{fresh_email, id_of, sign_in};
use e2e::{Answer, Api, PASSWORD, Stack, eventually};
use platform::ids::new_id;
use schemas::identity::UserSnapshot;
use scylla::client::session::Session;
use serde_json::json;
use uuid::Uuid;

use crate::crashes::database;
use crate::own::Own;

/// Until the sweepers take what is owed for left behind, and a few of their rounds.
const SWEPT: Duration = Duration::from_secs(60);

/// A step of `Accounts::create` after which the process dies.
struct Died {
    after: &'static str,
    /// Publications that are owed, and mails.
    owed: [usize; 2],
    is_user: bool,
}

const fn died(after: &'static str, owed: [usize; 2], is_user: bool) -> Died {
    Died {
        after,
        owed,
        is_user,
    }
}

const STEPS: [Died; 6] = [
    died("claimed", [0, 0], false),
    died("publication-owed", [1, 0], false),
    died("mail-owed", [1, 1], false),
    died("made", [1, 1], true),
    died("published", [1, 1], true),
    died("settled", [0, 1], true),
];

/// What is owed to a user.
async fn owed(database: &Session, user: Uuid) -> anyhow::Result<[usize; 2]> {
    let mut owed = [0, 0];
    let tables = ["intents", "verification_intents"];
    for (table, owed) in tables.into_iter().zip(&mut owed) {
        let rows = format!("SELECT aggregate_id FROM {table}");
        let rows = database.query_unpaged(rows, ()).await?;
        let rows = rows.into_rows_result()?;
        for row in rows.rows::<(Uuid,)>()? {
            *owed += usize::from(row?.0 == user);
        }
    }
    Ok(owed)
}

async fn register(api: &Api, email: &str, name: &str, id: &str) -> anyhow::Result<Answer> {
    let body = json!({"email": email, "password": PASSWORD, "name": name});
    let call = api.post("/v1/users").json(&body).request_id(id);
    call.send().await
}

#[tokio::test]
async fn a_registration_that_breaks_off_leaves_one_user_or_none() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let database = database(&stack).await?;
    let mut left = Vec::new();
    for step in STEPS {
        let (after, email) = (step.after, fresh_email("died"));
        let own = Own::start(&[("IDENTITY_CRASH_AT", after)]).await?;
        let id = format!("died-{}", new_id());
        let answer = register(&own.api, &email, "First", &id).await;
        ensure!(answer.is_err(), "it lives on after {after}");
        let claim = "SELECT user_id FROM email_claims WHERE email = ?";
        let claim = database.query_unpaged(claim, (&email,)).await?;
        let (holder,) = claim.into_rows_result()?.first_row::<(Uuid,)>()?;
        assert_eq!(owed(&database, holder).await?, step.owed, "{after}");
        let there = sign_in(stack.identity(), &email).await?;
        let user = step.is_user.then_some(holder);
        assert_eq!(there.map(|there| there.id), user, "{after}");
        // Nobody knows what came of it, says the trail.
        let entries = crate::audit::entries(&stack, std::slice::from_ref(&id)).await?;
        let entry = entries.get(&id).context(after)?;
        assert_eq!(
            (&entry["action"], &entry["outcome"]),
            (&json!("registered"), &json!("unknown"))
        );
        left.push((step, email, holder));
    }
    for (step, email, holder) in left {
        let after = step.after;
        let id = format!("died-{}", new_id());
        let again = register(stack.identity(), &email, "Second", &id).await?;
        let name = match step.is_user {
            true => {
                again.expect_problem(409, "email-taken")?;
                "First"
            }
            // Under the id of the one before, which nobody else gets.
            false => {
                assert_eq!(id_of(&again.expect(201)?)?, holder, "{after}");
                "Second"
            }
        };
        eventually(SWEPT, "what is owed to be done", async || {
            let all_done = owed(&database, holder).await? == [0, 0];
            Ok(all_done.then_some(()))
        })
        .await?;
        let key = holder.to_string();
        let users = stack.all_records("identity.users").await?;
        let users: Vec<String> = users
            .iter()
            .filter(|record| record.key == key)
            .map(|record| Ok(record.read::<UserSnapshot>()?.name))
            .collect::<anyhow::Result<_>>()?;
        ensure!(!users.is_empty(), "nobody was published after {after}");
        assert!(users.iter().all(|said| said == name), "{after}: {users:?}");
        let mails = stack.all_records("identity.mail").await?;
        let is_asked_for = mails.iter().any(|mail| mail.key == key);
        ensure!(is_asked_for, "no mail was asked for after {after}");
    }
    Ok(())
}
