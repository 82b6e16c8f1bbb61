//! What a crash in the middle of a change of address leaves behind, written by hand, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use e2e::users::{fresh_email, id_of, register, sign_in};
use e2e::{PASSWORD, Stack, User, eventually};
use futures::future::join_all;
use platform::clock::Timestamp;
use platform::ids::new_id;
use schemas::identity::{EmailChangeRequested, NoticeKind, SecurityNotice, UserSnapshot};
use scylla::client::session::Session;
use scylla::value::CqlTimestamp;
use serde_json::json;
use svc_identity::domain::email::Email;
use svc_identity::store::email_claims::EmailClaims;
use uuid::Uuid;

use crate::crashes::{database, owe, owe_in};
use crate::email_change::{confirm, wished};
use crate::mail_links::is_dead;
use crate::me;

/// For two rounds of the sweepers on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Where the process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Died {
    /// The intent is there.
    BeforeTheRow,
    /// The row says where the user is going.
    AfterTheRow,
    /// The new address is claimed.
    AfterTheClaim,
    /// The row has the new address.
    AfterTheMove,
    /// The old address is free.
    AfterTheRelease,
    /// The row says that all is done.
    BeforeThePublication,
}

/// A stack, and its tables.
struct Case {
    stack: Stack,
    database: Session,
}

/// Somebody who asked for another address.
struct Moving {
    user: User,
    new: String,
    /// In the link that was mailed there.
    token: String,
}

impl Case {
    async fn new() -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let database = database(&stack).await?;
        Ok(Self { stack, database })
    }

    /// Somebody whose change was on its way when the process `died`: what it did before is done by hand.
    async fn left(&self, died: Died) -> anyhow::Result<Moving> {
        let (user, new) = (self.stack.customer().await?, fresh_email("moved"));
        let token = wished(&self.stack, &user, &new).await?;
        let (id, old, database) = (user.id, &user.email, &self.database);
        if died >= Died::AfterTheRow {
            let wish = "SELECT wish_id FROM users WHERE user_id = ?";
            let wish = database.query_unpaged(wish, (id,)).await?;
            let (wish,) = wish.into_rows_result()?.first_row::<(Uuid,)>()?;
            let row = "UPDATE users SET version = 3, operation_id = ?, wish_id = null, wished_email = null, \
                 wished_until = null, proved_wish_id = ?, proved_wish_refused = false, moving_to = ? \
                 WHERE user_id = ? IF version = 2";
            let values = (new_id(), wish, &new, id);
            database.query_unpaged(row, values).await?;
        }
        if died >= Died::AfterTheClaim {
            let claim = "INSERT INTO email_claims (email, user_id, claimed_at) VALUES (?, ?, ?) \
                 IF NOT EXISTS";
            let values = (&new, id, CqlTimestamp(0));
            database.query_unpaged(claim, values).await?;
        }
        if died >= Died::AfterTheMove {
            let now = Timestamp::now_millis().as_millis();
            let row = format!(
                "UPDATE users SET version = 4, operation_id = ?, email = ?, email_verified = true, \
                 epoch = 1, moving_to = null, moving_from = ?, former_emails = {{{now}: '{old}'}} \
                 WHERE user_id = ? IF version = 3"
            );
            let values = (new_id(), &new, old, id);
            database.query_unpaged(row, values).await?;
        }
        if died >= Died::AfterTheRelease {
            let release = "DELETE FROM email_claims WHERE email = ? IF user_id = ?";
            database.query_unpaged(release, (old, id)).await?;
        }
        if died >= Died::BeforeThePublication {
            let row = "UPDATE users SET version = 5, operation_id = ?, moving_from = null \
                 WHERE user_id = ? IF version = 4";
            database.query_unpaged(row, (new_id(), id)).await?;
        }
        Ok(Moving { user, new, token })
    }
}

#[tokio::test]
async fn a_change_of_address_that_broke_off_is_finished_or_never_was() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let (stack, database) = (&case.stack, &case.database);
    for died in [
        Died::BeforeTheRow,
        Died::AfterTheRow,
        Died::AfterTheClaim,
        Died::AfterTheMove,
        Died::AfterTheRelease,
        Died::BeforeThePublication,
    ] {
        let Moving { user, new, .. } = case.left(died).await?;
        // One address leads to the user, never two, and never none.
        let moved = died >= Died::AfterTheMove;
        let at = async |email: &str| sign_in(stack.identity(), email).await;
        assert_eq!(at(&user.email).await?.is_some(), !moved, "{died:?}");
        assert_eq!(at(&new).await?.is_some(), moved, "{died:?}");
        if died >= Died::AfterTheClaim {
            let body = json!({"email": new, "password": PASSWORD, "name": "Next"});
            let taken = stack.identity().post("/v1/users").json(&body);
            taken.send().await?.expect_problem(409, "email-taken")?;
        }

        let mut users = stack.records_from_now("identity.users")?;
        let mut notices = stack.records_from_now("identity.notices")?;
        owe(database, user.id).await?;
        let (_, snapshot) = users.wait_for_key::<UserSnapshot>(user.id, SOON).await?;
        if died == Died::BeforeTheRow {
            assert_eq!(snapshot.email, user.email);
            assert!(at(&new).await?.is_none());
            continue;
        }
        assert_eq!(snapshot.email, new, "{died:?}");
        let (_, notice) = notices
            .wait_for_key::<SecurityNotice>(user.id, SOON)
            .await?;
        assert_eq!(notice.kind, NoticeKind::EmailChanged);
        assert!(at(&user.email).await?.is_none());
        let there = at(&new).await?;
        assert_eq!(there.map(|there| there.id), Some(user.id), "{died:?}");
        let next = register(stack.identity(), &user.email, "Next", "en").await?;
        assert_ne!(id_of(&next)?, user.id, "{died:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_change_to_an_address_that_somebody_got_meanwhile_is_undone() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let (stack, database) = (&case.stack, &case.database);
    let Moving { user, new, .. } = case.left(Died::AfterTheRow).await?;
    let other = id_of(&register(stack.identity(), &new, "Quicker", "en").await?)?;
    let mut users = stack.records_from_now("identity.users")?;
    owe(database, user.id).await?;
    let (_, snapshot) = users.wait_for_key::<UserSnapshot>(user.id, SOON).await?;
    assert_eq!(snapshot.email, user.email);
    let there = sign_in(stack.identity(), &new).await?;
    assert_eq!(there.map(|there| there.id), Some(other));
    assert!(sign_in(stack.identity(), &user.email).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn whoever_got_no_answer_is_told_by_the_same_link_what_came_of_it() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let stack = &case.stack;
    for died in [
        Died::BeforeTheRow,
        Died::AfterTheRow,
        Died::AfterTheClaim,
        Died::AfterTheMove,
        Died::AfterTheRelease,
        Died::BeforeThePublication,
    ] {
        let Moving { user, new, token } = case.left(died).await?;
        for _ in 0..2 {
            let answer = confirm(stack, &token).await?;
            assert_eq!(answer.status, 204, "{died:?}: {answer}");
            let there = sign_in(stack.identity(), &new).await?;
            assert_eq!(there.map(|there| there.id), Some(user.id), "{died:?}");
        }
        assert!(sign_in(stack.identity(), &user.email).await?.is_none());
        // A wish, and the three steps of one change, whoever made which.
        assert_eq!(me(stack, &user).await?.etag()?, "\"5\"", "{died:?}");
    }
    let Moving { user, new, token } = case.left(Died::AfterTheRow).await?;
    register(stack.identity(), &new, "Quicker", "en").await?;
    for _ in 0..2 {
        let refused = confirm(stack, &token).await?;
        refused.expect_problem(409, "email-taken")?;
    }
    assert!(sign_in(stack.identity(), &user.email).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn who_is_erased_on_the_way_leaves_neither_address_behind() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let stack = &case.stack;
    for died in [
        Died::AfterTheRow,
        Died::AfterTheClaim,
        Died::AfterTheMove,
        Died::AfterTheRelease,
        Died::BeforeThePublication,
    ] {
        let Moving { user, new, .. } = case.left(died).await?;
        let admin = stack.admin_token().await?;
        let path = format!("/v1/users/{}", user.id);
        let erase = stack.identity().delete(path).token(&admin);
        assert_eq!(erase.send().await?.status, 204);
        crate::erasure::is_gone(stack, &user).await?;
        for email in [&new, &user.email] {
            register(stack.identity(), email, "Next", "en").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_being_given_up_gets_no_link_to_a_new_password() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let stack = &case.stack;
    let Moving { user, new, .. } = case.left(Died::AfterTheMove).await?;
    let ids = [new_id().to_string(), new_id().to_string()];
    for (id, email) in ids.iter().zip([&user.email, &new]) {
        let call = stack.identity().post("/v1/password-resets").request_id(id);
        let asked = call.json(&json!({"email": email})).send().await?;
        assert_eq!(asked.status, 202, "{asked}");
    }
    // Of whom a link was asked for, if of anybody, is in the audit trail.
    let entries = crate::audit::entries(stack, &ids).await?;
    assert_eq!(entries[&ids[0]]["user_id"], json!(null));
    assert_eq!(entries[&ids[1]]["user_id"], json!(user.id));
    Ok(())
}

#[tokio::test]
async fn a_mail_to_a_wished_address_that_a_crash_left_owed_is_asked_for() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let (stack, database) = (&case.stack, &case.database);
    let Moving { user, new, .. } = case.left(Died::BeforeTheRow).await?;
    let mut topic = stack.records_from_now("identity.mail")?;
    owe_in(database, "address_change_intents", user.id).await?;
    let found = topic.wait_for_key::<EmailChangeRequested>(user.id, SOON);
    let (_, asked) = found.await?;
    let confirmed = confirm(stack, &asked.token).await?;
    assert_eq!(confirmed.status, 204, "{confirmed}");
    let shown = me(stack, &user).await?.expect(200)?;
    assert_eq!(shown["email"], json!(new));
    Ok(())
}

#[tokio::test]
async fn a_wish_is_forgotten_when_its_link_has_ended() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let (stack, database) = (&case.stack, &case.database);
    let Moving { user, new, token } = case.left(Died::BeforeTheRow).await?;
    let earlier = "UPDATE users SET wished_until = ? WHERE user_id = ? IF version = 2";
    let values = (CqlTimestamp(0), user.id);
    database.query_unpaged(earlier, values).await?;
    owe_in(database, "wish_intents", user.id).await?;
    eventually(SOON, "the wish to be forgotten", async || {
        let row = "SELECT wished_email FROM users WHERE user_id = ?";
        let row = database.query_unpaged(row, (user.id,)).await?;
        let row = row.into_rows_result()?;
        let (wished,) = row.first_row::<(Option<String>,)>()?;
        Ok(wished.is_none().then_some(()))
    })
    .await?;
    is_dead(confirm(stack, &token).await?)?;
    let records = stack.all_records("identity.users").await?;
    let key = user.id.to_string();
    let last = records.iter().rfind(|record| record.key == key);
    assert!(last.is_some_and(|last| !last.has(&new)), "{last:?}");
    Ok(())
}

#[tokio::test]
async fn who_wakes_up_late_gives_no_claim_back_that_was_made_since() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let claims = EmailClaims::new(Arc::new(database(&stack).await?)).await?;
    let key = Email::parse(&fresh_email("claimed"))?.key();
    let (holder, now) = (new_id(), Timestamp::now_millis());
    assert!(claims.take(&key, holder, now).await?);
    let first = claims.find_newest(&key).await?.context("a claim")?;
    // The user has gone and come back in the meantime, in the same millisecond.
    assert!(claims.take(&key, holder, now).await?);
    claims.release_one(&key, first).await?;
    let second = claims.find_newest(&key).await?.context("a claim")?;
    assert_eq!((second.holder, second.at > first.at), (holder, true));
    assert!(!claims.take(&key, new_id(), now).await?);
    claims.release_one(&key, second).await?;
    assert_eq!(claims.find_newest(&key).await?, None);
    Ok(())
}

/// A click on a link, and again, and the sweeper: the same change is finished by many at once, and the address is claimed for all of them.
#[tokio::test]
async fn many_who_claim_an_address_for_its_user_at_once_all_have_it() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let claims = EmailClaims::new(Arc::new(database(&stack).await?)).await?;
    for is_new in [true, false] {
        let key = Email::parse(&fresh_email("claimed"))?.key();
        let (holder, now) = (new_id(), Timestamp::now_millis());
        if !is_new {
            assert!(claims.take(&key, holder, now).await?);
        }
        let taken = join_all((0..24).map(|_| claims.take(&key, holder, now))).await;
        for taken in taken {
            assert!(taken?);
        }
        let claim = claims.find_newest(&key).await?.context("a claim")?;
        assert_eq!(claim.holder, holder);
        claims.release_one(&key, claim).await?;
    }
    Ok(())
}
