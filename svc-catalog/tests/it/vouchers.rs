//! Vouchers: who may make them, what they may say, and what the box office hears.

use anyhow::{Context as _, ensure};
use e2e::vouchers::{half, make};
use e2e::{Role, SeenRecord, Stack, TicketType, User};
use platform::kafka::partition_of;
use schemas::catalog::{VoucherTerms, voucher_key};
use schemas::topics::CATALOG_INVENTORY;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{add_ticket_type, draft, event_body};

struct Scene {
    stack: Stack,
    organizer: User,
    event: Uuid,
}

impl Scene {
    async fn draft() -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let organizer = stack.user(&[Role::Organizer]).await?;
        let event = draft(&stack, &organizer, &event_body()).await?;
        Ok(Self {
            stack,
            organizer,
            event,
        })
    }

    async fn sellable() -> anyhow::Result<Self> {
        let scene = Self::draft().await?;
        let general = TicketType::general(10);
        add_ticket_type(&scene.stack, &scene.organizer, scene.event, &general).await?;
        Ok(scene)
    }

    fn path(&self, code: &str) -> String {
        format!("/v1/events/{}/vouchers/{code}", self.event)
    }

    async fn make(&self, voucher: &Value) -> anyhow::Result<e2e::Answer> {
        let catalog = self.stack.catalog();
        make(catalog, &self.organizer, self.event, voucher)
            .send()
            .await
    }

    async fn list(&self) -> anyhow::Result<Vec<Value>> {
        let path = format!("/v1/events/{}/vouchers?limit=2", self.event);
        let (mut found, mut next) = (Vec::new(), path.clone());
        loop {
            let page = self.stack.catalog().get(&next).by(&self.organizer);
            let page = page.send().await?.expect(200)?;
            found.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}&cursor={cursor}"),
                None => return Ok(found),
            }
        }
    }

    /// The last record of a voucher, which is there before a change is answered.
    async fn told(&self, code: &str) -> anyhow::Result<Option<SeenRecord>> {
        let key = voucher_key(self.event, code);
        let records = self.stack.all_records(CATALOG_INVENTORY.name).await?;
        Ok(records.into_iter().rfind(|record| record.key == key))
    }

    async fn terms(&self, code: &str) -> anyhow::Result<VoucherTerms> {
        self.told(code).await?.context("its terms")?.read()
    }

    async fn is_buried(&self, code: &str) -> anyhow::Result<bool> {
        let last = self.told(code).await?;
        Ok(last.is_some_and(|record| record.name.is_empty()))
    }
}

#[tokio::test]
async fn a_voucher_is_made_changed_deleted_and_made_again() -> anyhow::Result<()> {
    let scene = Scene::sellable().await?;
    let api = scene.stack.catalog();
    let made = scene.make(&half(" early-10 ", 5)).await?;
    let etag = made.etag()?;
    let location = made.header("location").map(ToOwned::to_owned);
    let made = made.expect(201)?;
    ensure!(location.as_deref() == Some(&*scene.path("EARLY-10")));
    let expected = json!({
        "code": "EARLY-10", "percent_off": 50, "amount_off": null, "max_uses": 5, "uses": 0, "valid_until": null,
        "version": 1,
    });
    ensure!(made == expected, "{made}");
    ensure!(scene.list().await? == [made]);
    let record = scene.told("EARLY-10").await?.context("a record")?;
    let partition = partition_of(scene.event, scene.stack.event_partitions);
    ensure!(record.partition == partition, "{record}");
    let told: VoucherTerms = record.read()?;
    ensure!(
        (told.percent_off, told.max_uses, told.version) == (Some(50), 5, 1),
        "{told:?}"
    );
    scene
        .make(&half("Early-10", 9))
        .await?
        .expect_problem(409, "voucher-taken")?;

    let until = "2030-01-01T00:00:00.000001Z";
    let off = json!({"amount": 500, "currency": "EUR"});
    let change =
        json!({"code": "early-10", "amount_off": off, "max_uses": 7, "valid_until": until});
    let put = |etag: &str| {
        let call = api.put(scene.path("early-10")).by(&scene.organizer);
        call.if_match(etag).json(&change)
    };
    let changed = put(&etag).send().await?;
    ensure!(changed.etag()? != etag);
    let changed = changed.expect(200)?;
    ensure!(
        changed["amount_off"] == off && changed["percent_off"].is_null() && changed["version"] == 2,
        "{changed}"
    );
    ensure!(scene.list().await? == [changed]);
    let told = scene.terms("EARLY-10").await?;
    ensure!(told.amount_off.context("an amount")?.amount == 500);
    put(&etag).send().await?.expect_problem(412, "stale")?;

    let delete = || api.delete(scene.path("early-10")).by(&scene.organizer);
    let stale = delete().if_match(&etag).send().await?;
    stale.expect_problem(412, "stale")?;
    ensure!(delete().send().await?.status == 204);
    ensure!(scene.list().await?.is_empty());
    ensure!(scene.is_buried("EARLY-10").await?);
    delete().send().await?.expect_problem(404, "not-found")?;
    put("*").send().await?.expect_problem(404, "not-found")?;

    let again = scene.make(&half("EARLY-10", 1)).await?.expect(201)?;
    ensure!(again["version"] == 4, "newer than all before: {again}");
    ensure!(scene.terms("EARLY-10").await?.version == 4);
    Ok(())
}

#[tokio::test]
async fn the_list_has_pages_in_the_order_of_codes() -> anyhow::Result<()> {
    let scene = Scene::sellable().await?;
    for code in ["C", "A", "E", "B", "D"] {
        scene.make(&half(code, 5)).await?.expect(201)?;
    }
    let gone = scene.stack.catalog().delete(scene.path("B"));
    ensure!(gone.by(&scene.organizer).send().await?.status == 204);
    let list = scene.list().await?;
    let codes: Vec<_> = list.iter().map(|voucher| &voucher["code"]).collect();
    ensure!(codes == ["A", "C", "D", "E"], "{codes:?}");
    Ok(())
}

#[tokio::test]
async fn of_many_who_make_one_voucher_one_has_made_it() -> anyhow::Result<()> {
    let scene = Scene::sellable().await?;
    let voucher = half("RACE", 5);
    let calls = (0..10).map(|_| scene.make(&voucher));
    let mut made = 0;
    for answer in futures::future::try_join_all(calls).await? {
        if answer.status == 201 {
            made += 1;
        } else {
            answer.expect_problem(409, "voucher-taken")?;
        }
    }
    ensure!(made == 1, "{made} have");
    ensure!(scene.terms("RACE").await?.version == 1);
    Ok(())
}

#[tokio::test]
async fn what_a_voucher_cannot_say_is_refused_by_field() -> anyhow::Result<()> {
    let scene = Scene::sellable().await?;
    let off = json!({"amount": 500, "currency": "USD"});
    for (voucher, pointer) in [
        (
            json!({"code": "a b", "percent_off": 1, "max_uses": 1}),
            "/code",
        ),
        (
            json!({"code": "", "percent_off": 1, "max_uses": 1}),
            "/code",
        ),
        (
            json!({"code": "A", "percent_off": 0, "max_uses": 1}),
            "/percent_off",
        ),
        (
            json!({"code": "A", "percent_off": 1, "max_uses": 0}),
            "/max_uses",
        ),
        (
            json!({"code": "A", "amount_off": off, "max_uses": 1}),
            "/amount_off/currency",
        ),
        (
            json!({"code": "A", "amount_off": [500, "EUR"], "max_uses": 1}),
            "/amount_off",
        ),
        (json!({"code": "A", "max_uses": 1}), ""),
        (
            json!({"code": "A", "percent_off": 1, "amount_off": off, "max_uses": 1}),
            "",
        ),
        (
            json!({"code": "A", "percent_off": 1, "max_uses": 1, "min": 1}),
            "/min",
        ),
    ] {
        let problem = scene.make(&voucher).await?.expect_problem(422, "invalid")?;
        ensure!(problem["errors"][0]["pointer"] == pointer, "{problem}");
    }
    scene.make(&half("A", 1)).await?.expect(201)?;
    let renamed = scene.stack.catalog().put(scene.path("A"));
    let renamed = renamed.by(&scene.organizer).if_match("*");
    let problem = renamed.json(&half("B", 1)).send().await?;
    let problem = problem.expect_problem(422, "invalid")?;
    ensure!(problem["errors"][0]["pointer"] == "/code", "{problem}");
    let unread = scene.stack.catalog().put(scene.path("A"));
    let unread = unread.by(&scene.organizer).json(&half("A", 1));
    unread
        .send()
        .await?
        .expect_problem(428, "if-match-required")?;
    Ok(())
}

#[tokio::test]
async fn a_draft_keeps_the_currency_of_its_vouchers() -> anyhow::Result<()> {
    let scene = Scene::draft().await?;
    let api = scene.stack.catalog();
    let in_euros = TicketType::general(10).body();
    let mut in_dollars = in_euros.clone();
    in_dollars["price"]["currency"] = json!("USD");
    let types = format!("/v1/events/{}/ticket-types", scene.event);
    let add = |body: &Value| api.post(&types).by(&scene.organizer).json(body);
    let added = add(&in_euros).send().await?.expect(201)?;
    let this = format!("{types}/{}", added["id"].as_str().context("an id")?);
    let change = |body: &Value| {
        let call = api.put(&this).by(&scene.organizer).if_match("*");
        call.json(body)
    };
    let off = json!({"amount": 500, "currency": "EUR"});
    let off = json!({"code": "OFF", "amount_off": off, "max_uses": 1});
    scene.make(&half("HALF", 1)).await?.expect(201)?;
    scene.make(&off).await?.expect(201)?;

    let refused = |answer: e2e::Answer| {
        let problem = answer.expect_problem(422, "invalid")?;
        let [error] = &problem["errors"].as_array().context("errors")?[..] else {
            anyhow::bail!("{problem}");
        };
        ensure!(
            error["pointer"] == "/price/currency" && error["code"] == "currency",
            "{problem}"
        );
        let detail = error["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains("voucher OFF"), "{problem}");
        anyhow::Ok(())
    };
    refused(change(&in_dollars).send().await?)?;
    let unchanged = change(&in_euros).send().await?.expect(200)?;
    ensure!(unchanged["version"] == added["version"], "{unchanged}");
    // Neither by way of an event that sells nothing.
    let remove = api.delete(&this).by(&scene.organizer);
    ensure!(remove.send().await?.status == 204);
    refused(add(&in_dollars).send().await?)?;

    let delete = api.delete(scene.path("OFF")).by(&scene.organizer);
    ensure!(delete.send().await?.status == 204);
    let added = add(&in_dollars).send().await?.expect(201)?;
    ensure!(added["price"]["currency"] == "USD", "{added}");
    Ok(())
}

#[tokio::test]
async fn nobody_but_the_owner_and_admins_learns_of_vouchers() -> anyhow::Result<()> {
    let scene = Scene::sellable().await?;
    scene.make(&half("SECRET", 5)).await?.expect(201)?;
    let api = scene.stack.catalog();
    let list = format!("/v1/events/{}/vouchers", scene.event);
    let stranger = scene.stack.user(&[Role::Organizer]).await?;
    let customer = scene.stack.customer().await?;
    for (user, status, code) in [(&stranger, 404, "not-found"), (&customer, 403, "forbidden")] {
        for call in [
            api.get(&list),
            make(api, user, scene.event, &half("SECRET", 1)),
            api.put(scene.path("SECRET"))
                .if_match("*")
                .json(&half("SECRET", 1)),
            api.delete(scene.path("SECRET")),
        ] {
            call.by(user).send().await?.expect_problem(status, code)?;
        }
    }
    let admin = scene.stack.user(&[Role::Admin]).await?;
    let seen = api.get(&list).by(&admin).send().await?.expect(200)?;
    ensure!(seen["items"][0]["code"] == "SECRET", "{seen}");
    // Anyone reads the event, and nothing of it names the voucher.
    let publish = api.post(format!("/v1/events/{}/publish", scene.event));
    publish.by(&scene.organizer).send().await?.expect(200)?;
    let event = api
        .get(format!("/v1/events/{}", scene.event))
        .send()
        .await?;
    ensure!(!event.text().contains("SECRET"), "{event}");
    Ok(())
}

#[tokio::test]
async fn vouchers_go_with_a_draft_and_stay_with_a_cancelled_event() -> anyhow::Result<()> {
    let scene = Scene::draft().await?;
    let in_euros =
        json!({"code": "B", "amount_off": {"amount": 1, "currency": "EUR"}, "max_uses": 1});
    let problem = scene
        .make(&in_euros)
        .await?
        .expect_problem(422, "invalid")?;
    ensure!(
        problem["errors"][0]["pointer"] == "/amount_off/currency",
        "{problem}"
    );
    scene.make(&half("A", 1)).await?.expect(201)?;
    let event = format!("/v1/events/{}", scene.event);
    let delete = scene.stack.catalog().delete(&event).by(&scene.organizer);
    ensure!(delete.send().await?.status == 204);
    ensure!(scene.is_buried("A").await?);
    let gone = scene.make(&half("A", 1)).await?;
    gone.expect_problem(404, "not-found")?;

    let scene = Scene::sellable().await?;
    scene.make(&half("A", 1)).await?.expect(201)?;
    for step in ["publish", "cancel"] {
        let path = format!("/v1/events/{}/{step}", scene.event);
        let call = scene.stack.catalog().post(path).by(&scene.organizer);
        call.send().await?.expect(200)?;
    }
    ensure!(scene.list().await?.len() == 1);
    let late = scene.make(&half("B", 1)).await?;
    late.expect_problem(409, "sale-closed")?;
    ensure!(!scene.is_buried("A").await?);
    Ok(())
}
