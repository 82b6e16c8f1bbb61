//! Two svc-checkout and what can go wrong between them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use e2e::control::stack;
use e2e::orders::place;
use e2e::users::id_of;
use e2e::{PublishedEvent, Stack, User, eventually};
use futures::future::try_join_all;
use platform::kafka::client_config;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use schemas::topics::{CHECKOUT_COMMANDS, CHECKOUT_REPLIES};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::load::{Spread, events};
use crate::stack_command;
use crate::two_instances::{SECOND, with_second};

/// A client waits this long for the answer to its command.
const PATIENCE: Duration = Duration::from_secs(5);
/// Twice until the group tells it, a new membership in between, and a stop.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Changes checkout.replies with Kafka's own tool.
async fn alter_replies(change: [&str; 2]) -> anyhow::Result<()> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/bin/kafka-configs");
    let topic = [
        "--entity-type",
        "topics",
        "--entity-name",
        CHECKOUT_REPLIES.name,
    ];
    let mut command = Command::new(tool);
    command.arg("--alter").args(topic).args(change);
    let output = spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kafka-configs: {said}");
    Ok(())
}

/// An order at the first instance, and how long it took.
async fn timed(
    stack: &Stack,
    buyer: &User,
    event: &PublishedEvent,
) -> anyhow::Result<(e2e::Answer, Duration)> {
    let lines = [(event.ticket_types[0], 1)];
    let began = Instant::now();
    let answer = place(stack.checkout(), buyer, event.id, &lines).send();
    Ok((answer.await?, began.elapsed()))
}

/// What the second instance decides for clients of the first one it tells by checkout.replies. Here no reply gets there.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_costs_patience_and_no_order() -> anyhow::Result<()> {
    with_second(async {
        let stack = Stack::from_env();
        let events = events(&stack, Spread::EveryPartition, 10).await?;
        let buyer = stack.customer().await?;
        // No record is that small.
        alter_replies(["--add-config", "max.message.bytes=1"]).await?;
        let orders = events.iter().map(|event| timed(&stack, &buyer, event));
        let answers = try_join_all(orders).await;
        alter_replies(["--delete-config", "max.message.bytes"]).await?;

        let mut lost = 0;
        for (answer, took) in answers? {
            lost += usize::from(took >= PATIENCE);
            let order = answer.expect(201)?;
            let path = format!("/v1/orders/{}", id_of(&order)?);
            let shown = stack.checkout().get(path).by(&buyer).send().await?;
            ensure!(shown.expect(200)? == order, "the answer is the order's row");
        }
        ensure!(lost > 0, "every reply got there");
        Ok(())
    })
    .await
}

/// Another process with this name: like an engine it joins again when it is fenced. How often it was, until it is `over`.
fn rival(brokers: &str, name: &str, over: &AtomicBool) -> anyhow::Result<usize> {
    let mut fenced = 0;
    loop {
        let member: BaseConsumer = client_config(brokers, "sharing")
            .set("group.id", "svc-checkout")
            .set("group.protocol", "classic")
            .set("group.instance.id", name)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("enable.auto.commit", "false")
            .create()?;
        member.subscribe(&[CHECKOUT_COMMANDS.name])?;
        while member.client().fatal_error().is_none() {
            if over.load(Ordering::SeqCst) {
                return Ok(fenced);
            }
            _ = member.poll(POLL);
        }
        fenced += 1;
    }
}

/// Another process has its name: it ends, when it has joined once more to see whether that was itself. Else the two would take
/// the partitions from each other for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_name_somebody_else_has_ends() -> anyhow::Result<()> {
    with_second(async {
        let stack_under_test = Stack::from_env();
        let over = Arc::new(AtomicBool::new(false));
        let (brokers, until) = (stack_under_test.kafka_brokers.clone(), Arc::clone(&over));
        let newer = spawn_blocking(move || rival(&brokers, SECOND, &until));
        let ended = eventually(ENDS_WITHIN, "the older one to end", async || {
            let status = stack(&["status"]).await?;
            let status = String::from_utf8_lossy(&status.stdout).into_owned();
            let mut lines = status.lines().filter(|line| line.starts_with(SECOND));
            Ok(lines.any(|line| line.contains("died")).then_some(()))
        })
        .await;
        over.store(true, Ordering::SeqCst);
        let fenced = newer.await?;
        // Whatever came of it: the next test starts it anew, and this one's end wants to stop it.
        stack_command("start", SECOND).await?;
        ended?;
        let fenced = fenced?;
        ensure!(fenced == 1, "the newer one was fenced {fenced} times");
        Ok(())
    })
    .await
}
