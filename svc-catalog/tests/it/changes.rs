//! Events and ticket types that change after they were made.

use anyhow::{Context as _, ensure};
use e2e::events::concert;
use e2e::orders::{CARD_PAID, pay, place};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Answer, PublishedEvent, Role, Stack, TicketType, User, eventually};
use futures::future::join_all;
use platform::http::{Code, Problem};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::in_process::InProcess;
use crate::{add_ticket_type, draft, event_body};

struct Scene {
    stack: Stack,
    organizer: User,
    event: PublishedEvent,
}

impl Scene {
    async fn on_sale(ticket_types: &[TicketType]) -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let organizer = stack.user(&[Role::Organizer]).await?;
        let event = stack.published_event(&organizer, ticket_types).await?;
        Ok(Self {
            stack,
            organizer,
            event,
        })
    }

    fn path(&self) -> String {
        format!("/v1/events/{}", self.event.id)
    }

    fn type_path(&self, index: usize) -> String {
        format!(
            "{}/ticket-types/{}",
            self.path(),
            self.event.ticket_types[index]
        )
    }

    async fn event(&self) -> anyhow::Result<Value> {
        self.stack
            .catalog()
            .get(self.path())
            .send()
            .await?
            .expect(200)
    }

    async fn put(&self, path: &str, etag: &str, body: &Value) -> anyhow::Result<Answer> {
        let call = self.stack.catalog().put(path).by(&self.organizer);
        call.if_match(etag).json(body).send().await
    }

    /// Changes the quantity of a ticket type, whatever its version.
    async fn set_quantity(&self, index: usize, quantity: i64) -> anyhow::Result<Answer> {
        let mut body = TicketType::general(10).body();
        body["quantity"] = json!(quantity);
        self.put(&self.type_path(index), "*", &body).await
    }

    async fn order(&self, buyer: &User, quantity: u32) -> anyhow::Result<Answer> {
        let lines = [(self.event.ticket_types[0], quantity)];
        let order = place(self.stack.checkout(), buyer, self.event.id, &lines);
        order.send().await
    }
}

#[tokio::test]
async fn an_event_is_changed_as_it_was_read() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(10)]).await?;
    let before = scene.event().await?;
    let etag = format!("\"{}\"", before["version"]);
    let mut body = event_body();
    body["venue"]["city"] = json!("Grenoble");
    body["capacity"] = json!(10);

    let path = scene.path();
    let call = scene.stack.catalog().put(&path).by(&scene.organizer);
    let answer = call.json(&body).send().await?;
    answer.expect_problem(428, "if-match-required")?;

    let changed = scene.put(&path, &etag, &body).await?.expect(200)?;
    ensure!(changed["venue"]["city"] == "Grenoble", "{changed}");
    ensure!(changed["status"] == "published", "{changed}");
    ensure!(
        changed["ticket_types"] == before["ticket_types"],
        "{changed}"
    );
    ensure!(changed == scene.event().await?, "{changed}");
    scene
        .put(&path, &etag, &body)
        .await?
        .expect_problem(412, "stale")?;

    body["capacity"] = json!(9);
    let answer = scene.put(&path, "*", &body).await?;
    let problem = answer.expect_problem(422, "invalid")?;
    ensure!(problem["errors"][0]["pointer"] == "/capacity", "{problem}");

    let stranger = scene.stack.user(&[Role::Organizer]).await?;
    let call = scene.stack.catalog().put(&path).by(&stranger);
    let answer = call.if_match("*").json(&body).send().await?;
    answer.expect_problem(404, "not-found")?;
    Ok(())
}

#[tokio::test]
async fn a_ticket_type_is_changed_as_it_was_read() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(10), TicketType::vip(5)]).await?;
    let before = scene.event().await?;
    // That of the event is another one by now.
    let etag = format!("\"{}\"", before["ticket_types"][0]["version"]);
    let (path, body) = (scene.type_path(0), TicketType::general(20).body());
    let call = scene.stack.catalog().put(&path).by(&scene.organizer);
    let unread = call.json(&body).send().await?;
    unread.expect_problem(428, "if-match-required")?;
    let of_event = format!("\"{}\"", before["version"]);
    let stale = scene.put(&path, &of_event, &body).await?;
    stale.expect_problem(412, "stale")?;

    let changed = scene.put(&path, &etag, &body).await?;
    let newer = changed.etag()?;
    ensure!(newer != etag, "{changed}");
    changed.expect(200)?;
    let again = scene.put(&path, &etag, &body).await?;
    again.expect_problem(412, "stale")?;
    let delete = || scene.stack.catalog().delete(&path).by(&scene.organizer);
    let stale = delete().if_match(&etag).send().await?;
    stale.expect_problem(412, "stale")?;
    ensure!(delete().if_match(&newer).send().await?.status == 204);

    let draft = draft(&scene.stack, &scene.organizer, &event_body()).await?;
    let delete = scene.stack.catalog().delete(format!("/v1/events/{draft}"));
    let delete = delete.by(&scene.organizer);
    let stale = delete.clone().if_match("\"7\"").send().await?;
    stale.expect_problem(412, "stale")?;
    ensure!(delete.if_match("\"1\"").send().await?.status == 204);
    Ok(())
}

#[tokio::test]
async fn without_the_box_office_nothing_is_lowered() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(10)]).await?;
    let lonely = InProcess::without_checkout(&scene.stack).await?;
    let before = scene.event().await?;
    let with_quantity = async |quantity: i64| {
        let type_id = scene.event.ticket_types[0];
        let changed = lonely.app.change(scene.event.id, |event| {
            let known = event.ticket_type(type_id).ok_or(Code::NotFound)?;
            let mut terms = known.terms.clone();
            terms.quantity = quantity;
            let changed = event.change_ticket_type(type_id, terms);
            changed.map_err(|_| Problem::new(Code::Invalid))
        });
        changed.await.map(|event| event.version)
    };
    let refused = with_quantity(9).await.err().context("a refusal")?;
    ensure!(refused.status() == 503, "{refused:?}");
    ensure!(scene.event().await? == before, "it changed something");
    // Nobody has to be asked whether there may be more.
    let raised = with_quantity(11).await?;
    ensure!(before["version"].as_i64() < Some(raised), "{raised}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_moved_is_in_the_list_once() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(10)]).await?;
    let name = scene.event().await?["name"]
        .as_str()
        .context("a name")?
        .to_owned();
    let listed = async || {
        let list = format!("/v1/events?q={}", name.replace(' ', "+"));
        let list = scene.stack.catalog().get(list).send().await?.expect(200)?;
        anyhow::Ok(list["items"].as_array().context("items")?.clone())
    };
    // Out of its month, further, and back to where it was first.
    for in_days in [80, 81, 30] {
        let mut body = concert(&name, in_days);
        body["name"] = json!(name);
        let moved = scene.put(&scene.path(), "*", &body).await?.expect(200)?;
        let list = listed().await?;
        ensure!(list == [moved.clone()], "{list:?} after {moved}");
    }
    let cancel = format!("{}/cancel", scene.path());
    let cancel = scene.stack.catalog().post(cancel).by(&scene.organizer);
    cancel.send().await?.expect(200)?;
    ensure!(
        listed().await?.is_empty(),
        "a cancelled event is in no list"
    );
    Ok(())
}

#[tokio::test]
async fn seats_that_are_held_or_sold_stay() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(10)]).await?;
    let buyer = scene.stack.customer().await?;
    let paid = id_of(&scene.order(&buyer, 3).await?.expect(201)?)?;
    let paid = pay(scene.stack.checkout(), &buyer, paid, CARD_PAID);
    paid.send().await?.expect(200)?;
    scene.order(&buyer, 2).await?.expect(201)?;

    let refused = scene.set_quantity(0, 4).await?;
    let problem = refused.expect_problem(409, "below-sold")?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    ensure!(detail.starts_with("5 tickets"), "{problem}");
    let call = scene.stack.catalog().delete(scene.type_path(0));
    let last = call.by(&scene.organizer).send().await?;
    last.expect_problem(409, "not-publishable")?;

    let lowered = scene.set_quantity(0, 6).await?.expect(200)?;
    ensure!(lowered["quantity"] == 6, "{lowered}");
    scene
        .order(&buyer, 2)
        .await?
        .expect_problem(409, "sold-out")?;
    scene.order(&buyer, 1).await?.expect(201)?;
    scene
        .order(&buyer, 1)
        .await?
        .expect_problem(409, "sold-out")?;

    scene.set_quantity(0, 8).await?.expect(200)?;
    eventually(SOON, "the raised quantity", async || {
        Ok((scene.order(&buyer, 2).await?.status == 201).then_some(()))
    })
    .await
}

/// Buyers and an organizer who takes seats away, at the same time: what is left is never below what is sold.
#[tokio::test]
async fn nobody_sells_what_is_being_taken_away() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(40)]).await?;
    let buyer = scene.stack.customer().await?;
    let orders = join_all((0..30).map(|_| scene.order(&buyer, 1)));
    let changes = join_all((0..6).map(|index| scene.set_quantity(0, 30 - index * 3)));
    let (orders, changes) = tokio::join!(orders, changes);

    let mut accepted = 0;
    for order in orders {
        match order? {
            answer if answer.status == 201 => accepted += 1,
            answer => drop(answer.expect_problem(409, "sold-out")?),
        }
    }
    for change in changes {
        match change? {
            answer if answer.status == 200 => {}
            answer => drop(answer.expect_problem(409, "below-sold")?),
        }
    }
    let quantity = scene.event().await?["ticket_types"][0]["quantity"]
        .as_i64()
        .context("a quantity")?;
    ensure!(accepted <= quantity, "{accepted} of {quantity}");
    let path = format!("{}/availability", scene.path());
    eventually(SOON, "the stock to say the same", async || {
        let seen = scene.stack.catalog().get(&path).send().await?.expect(200)?;
        let stock = &seen["ticket_types"][0];
        let same = stock["quantity"] == quantity && stock["held"] == accepted;
        Ok((same && stock["available"] == quantity - accepted).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_ticket_type_that_nobody_has_can_go() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(10), TicketType::vip(5)]).await?;
    let delete = || {
        let call = scene.stack.catalog().delete(scene.type_path(0));
        call.by(&scene.organizer).send()
    };
    let buyer = scene.stack.customer().await?;
    let order = id_of(&scene.order(&buyer, 1).await?.expect(201)?)?;
    delete().await?.expect_problem(409, "below-sold")?;
    let cancel = format!("/v1/orders/{order}/cancel");
    let cancel = scene.stack.checkout().post(cancel).by(&buyer);
    cancel.json(&json!({})).send().await?.expect(200)?;

    ensure!(
        delete().await?.status == 204,
        "nothing of it is held any more"
    );
    delete().await?.expect_problem(404, "not-found")?;
    let event = scene.event().await?;
    let left = event["ticket_types"].as_array().context("a list")?;
    ensure!(left.len() == 1 && left[0]["kind"] == "vip", "{event}");
    eventually(SOON, "the box office to know", async || {
        let answer = scene.order(&buyer, 1).await?;
        Ok((answer.body["code"] == "unknown-ticket-type").then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_draft_can_be_deleted_and_nothing_else() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &organizer, &event_body()).await?;
    add_ticket_type(&stack, &organizer, id, &TicketType::general(10)).await?;
    let path = format!("/v1/events/{id}");
    let deleted = stack.catalog().delete(&path).by(&organizer).send().await?;
    ensure!(deleted.status == 204, "{deleted}");
    let gone = stack.catalog().get(&path).by(&organizer).send().await?;
    gone.expect_problem(404, "not-found")?;
    for topic in ["catalog.events", "catalog.inventory"] {
        let its = |record: &e2e::SeenRecord| record.key == id.to_string() && record.name.is_empty();
        let mut records = stack.records(topic)?;
        records.wait_for("the tombstone", SOON, its).await?;
    }

    let scene = Scene::on_sale(&[TicketType::general(10)]).await?;
    let call = scene.stack.catalog().delete(scene.path());
    let refused = call.by(&scene.organizer).send().await?;
    refused.expect_problem(409, "has-orders")?;
    Ok(())
}

#[tokio::test]
async fn an_archived_event_sells_nothing_and_is_in_no_list() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(10)]).await?;
    let archive = || {
        let path = format!("{}/archive", scene.path());
        scene.stack.catalog().post(path).by(&scene.organizer).send()
    };
    let archived = archive().await?.expect(200)?;
    ensure!(archived["status"] == "archived", "{archived}");
    ensure!(
        archive().await?.expect(200)? == archived,
        "once more changes nothing"
    );
    let buyer = scene.stack.customer().await?;
    eventually(SOON, "the sale to close", async || {
        let answer = scene.order(&buyer, 1).await?;
        Ok((answer.body["code"] == "sale-closed").then_some(()))
    })
    .await?;
    let name = archived["name"].as_str().context("a name")?;
    let list = format!("/v1/events?q={}", name.replace(' ', "+"));
    let list = scene.stack.catalog().get(list).send().await?.expect(200)?;
    ensure!(list["items"] == json!([]), "{list}");
    scene
        .set_quantity(0, 20)
        .await?
        .expect_problem(409, "sale-closed")?;
    Ok(())
}

/// The catalog's own way into the box office is closed to everyone else.
#[tokio::test]
async fn nobody_but_the_catalog_lowers_quantities() -> anyhow::Result<()> {
    let scene = Scene::on_sale(&[TicketType::general(10)]).await?;
    let path = format!("/internal/events/{}/quantities", scene.event.id);
    let body = json!({"version": 9, "quantities": []});
    let admin = scene.stack.user(&[Role::Admin]).await?;
    for token in [&admin.token, &scene.organizer.token] {
        let call = scene.stack.checkout().put(&path).token(token).json(&body);
        call.send().await?.expect_problem(401, "unauthenticated")?;
    }
    let service = scene.stack.service_token().await?;
    let call = scene.stack.gateway().put(&path).token(&service).json(&body);
    call.send().await?.expect_problem(404, "not-found")?;
    // And what opens it opens nothing else.
    for api in [scene.stack.gateway(), scene.stack.checkout()] {
        let call = api.get("/v1/orders").token(&service);
        call.send().await?.expect_problem(401, "unauthenticated")?;
    }
    let unknown = format!("/internal/events/{}/quantities", Uuid::nil());
    let call = scene.stack.checkout().put(unknown).token(&service);
    let wanted =
        json!({"version": 9, "quantities": [{"ticket_type_id": Uuid::nil(), "quantity": 1}]});
    call.json(&wanted)
        .send()
        .await?
        .expect_problem(404, "unknown-event")?;
    Ok(())
}
