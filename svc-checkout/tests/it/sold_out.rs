//! What is sold out is refused at the door, and only what is.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::orders::{order_body, place};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Service, TicketType, eventually};
use schemas::topics::CHECKOUT_COMMANDS;

use crate::Scene;

/// The door is silent for 5 s after the last seat has gone.
const DOOR_SPEAKS: Duration = Duration::from_secs(30);

impl Scene {
    /// Orders that this instance has refused without a command.
    async fn refused_at_the_door(&self) -> anyhow::Result<u64> {
        let admin = self.stack.admin_port(Service::Checkout);
        let metrics = admin.get("/metrics").send().await?.text();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("checkout_refused_at_the_door_total "));
        line.map_or(Ok(0), |count| count.parse().context("a count"))
    }

    /// Commands that were sent for the event.
    async fn commands(&self) -> anyhow::Result<usize> {
        let key = self.event.id.to_string();
        let commands = self.stack.all_records(CHECKOUT_COMMANDS.name).await?;
        Ok(commands.iter().filter(|record| record.key == key).count())
    }
}

#[tokio::test]
async fn the_door_refuses_what_is_gone_and_knows_whose_the_last_seat_is() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(1), TicketType::vip(1)]).await?;
    let [general, vip] = scene.event.ticket_types[..] else {
        anyhow::bail!("two ticket types");
    };
    let api = scene.stack.checkout();
    let last = api
        .post("/v1/orders")
        .by(&scene.buyer)
        .idempotency_key("the-last-seat")
        .json(&order_body(scene.event.id, &[(general, 1)]));
    let order = id_of(&last.clone().send().await?.expect(201)?)?;
    let try_again = || place(api, &scene.buyer, scene.event.id, &[(general, 1)]).send();
    let before = scene.refused_at_the_door().await?;
    eventually(DOOR_SPEAKS, "a refusal at the door", async || {
        try_again().await?.expect_problem(409, "sold-out")?;
        Ok((scene.refused_at_the_door().await? > before).then_some(()))
    })
    .await?;

    let commands = scene.commands().await?;
    try_again().await?.expect_problem(409, "sold-out")?;
    let both = place(api, &scene.buyer, scene.event.id, &[(vip, 1), (general, 1)]);
    both.send().await?.expect_problem(409, "sold-out")?;
    ensure!(
        scene.commands().await? == commands,
        "a refusal took a command"
    );

    // Whoever got it may ask again at any time.
    let repeated = last.clone().send().await?.expect(201)?;
    ensure!(id_of(&repeated)? == order, "{repeated}");
    let another = order_body(scene.event.id, &[(general, 2)]);
    last.json(&another)
        .send()
        .await?
        .expect_problem(422, "idempotency-key-reused")?;
    place(api, &scene.buyer, scene.event.id, &[(vip, 1)])
        .send()
        .await?
        .expect(201)?;

    // A seat that comes back is for sale.
    let cancel = api
        .post(format!("/v1/orders/{order}/cancel"))
        .by(&scene.buyer);
    cancel.send().await?.expect(200)?;
    eventually(SOON, "the seat for sale again", async || {
        Ok((try_again().await?.status == 201).then_some(()))
    })
    .await
}
