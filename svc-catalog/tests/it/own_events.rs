//! What an organizer has: his own list, and what svc-identity is told of it.

use anyhow::Context as _;
use e2e::vouchers::{half, make};
use e2e::{Role, Stack};
use platform::ids::new_id;
use serde_json::{Value, json};
use svc_catalog::domain::voucher::VoucherKey;
use svc_catalog::http::own_event::voucher_keys;
use uuid::Uuid;

use crate::in_process::InProcess;
use crate::{draft, event_body};

fn ids(page: &Value) -> Vec<Value> {
    let items = page["items"].as_array().into_iter().flatten();
    items.map(|event| event["id"].clone()).collect()
}

#[tokio::test]
async fn an_organizer_has_a_list_of_his_own_events_with_drafts() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (organizer, other) = (
        stack.user(&[Role::Organizer]).await?,
        stack.user(&[Role::Organizer]).await?,
    );
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(draft(&stack, &organizer, &event_body()).await?);
    }
    draft(&stack, &other, &event_body()).await?;
    let list = async |query: &str| {
        let call = stack
            .catalog()
            .get(format!("/v1/organizers/me/events{query}"));
        call.by(&organizer).send().await?.expect(200)
    };
    let [oldest, middle, newest] = [made[0], made[1], made[2]].map(|id| json!(id));
    let all = list("").await?;
    assert_eq!(ids(&all), [&newest, &middle, &oldest].map(Clone::clone));
    assert_eq!(all["next_cursor"], json!(null));
    let one = stack.catalog().get(format!("/v1/events/{}", made[2]));
    assert_eq!(
        all["items"][0],
        one.by(&organizer).send().await?.expect(200)?
    );

    let first = list("?limit=2").await?;
    assert_eq!(ids(&first), [newest, middle.clone()]);
    let cursor = first["next_cursor"].as_str().context("a next page")?;
    let second = list(&format!("?limit=2&cursor={cursor}")).await?;
    assert_eq!(ids(&second), [oldest]);
    assert_eq!(second["next_cursor"], json!(null));

    for id in [made[0], made[2]] {
        let delete = stack.catalog().delete(format!("/v1/events/{id}"));
        assert_eq!(delete.by(&organizer).send().await?.status, 204);
    }
    assert_eq!(ids(&list("").await?), [middle]);
    let wrong = stack.catalog().get("/v1/organizers/me/events?cursor=x");
    let wrong = wrong.by(&organizer).send().await?;
    wrong.expect_problem(422, "invalid")?;
    Ok(())
}

#[tokio::test]
async fn nobody_but_svc_identity_may_ask_what_a_person_organizes() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, catalog) = (
        stack.user(&[Role::Organizer]).await?,
        stack.service_token().await?,
    );
    for what in ["events", "vouchers"] {
        let path = format!("/internal/users/{}/{what}", user.id);
        let by_user = stack.catalog().get(&path).by(&user).send().await?;
        by_user.expect_problem(401, "unauthenticated")?;
        let by_catalog = stack.catalog().get(&path).token(&catalog).send().await?;
        by_catalog.expect_problem(403, "forbidden")?;
        let outside = stack.gateway().get(&path).by(&user).send().await?;
        outside.expect_problem(404, "not-found")?;
    }
    Ok(())
}

#[tokio::test]
async fn events_of_before_the_list_get_into_it() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &organizer, &event_body()).await?;
    let app = InProcess::new(&stack).await?.app;
    // As it was written when there was no list.
    let mut event = app.events.find(id).await?.context("the event")?;
    (event.id, event.organizer_id) = (new_id(), new_id());
    assert!(app.events.insert(&event, new_id()).await?);
    let listed = async || app.by_organizer.list(event.organizer_id, None, 10).await;
    assert!(listed().await?.is_empty());
    assert!(app.by_organizer.add_missing().await? > 0);
    assert_eq!(listed().await?, [event.id]);
    Ok(())
}

#[tokio::test]
async fn pages_of_vouchers_go_on_inside_events_and_behind_them() -> anyhow::Result<()> {
    /// Fewer than an event has codes, and than there are events without any.
    const LIMIT: usize = 3;
    const EVENTS: usize = 230;
    let stack = Stack::from_env();
    let app = InProcess::new(&stack).await?.app;
    let organizer = new_id();
    let mut expected = Vec::new();
    for number in 0..EVENTS {
        let event_id = new_id();
        app.by_organizer.add(organizer, event_id).await?;
        // Newest first: of these the last ones are on the last page.
        let codes = match number {
            0 => 1,
            150 => 5,
            151 | 229 => 4,
            _ => 0,
        };
        let mut keys = Vec::new();
        for code in 0..codes {
            let code = format!("CODE-{code}");
            let key = VoucherKey { event_id, code };
            app.vouchers.list(&key).await?;
            keys.push(key);
        }
        keys.append(&mut expected);
        expected = keys;
    }
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = voucher_keys(&app, organizer, from, LIMIT).await;
        let (keys, next) = page.map_err(anyhow::Error::from)?;
        assert!(keys.len() <= LIMIT);
        found.extend(keys);
        from = next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
    Ok(())
}

#[tokio::test]
async fn a_voucher_of_an_organizer_is_where_his_export_looks() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event: Uuid = draft(&stack, &organizer, &event_body()).await?;
    let voucher = half("EARLY", 5);
    let made = make(stack.catalog(), &organizer, event, &voucher);
    let made = made.send().await?;
    // A draft without a ticket type can have vouchers that take hundredths off.
    let mut made = made.expect(201)?;
    made["event_id"] = json!(event);
    let export = stack.identity().get("/v1/users/me/export").by(&organizer);
    let export = export.send().await?.expect(200)?;
    assert_eq!(export["vouchers"], json!([made]));
    assert_eq!(ids(&json!({"items": export["events"]})), [json!(event)]);
    Ok(())
}
