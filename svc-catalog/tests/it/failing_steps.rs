//! Changes of which the database takes no statement any more, from any of their steps on: like those that die there, they leave
//! nothing that is not told in the end.

use anyhow::ensure;
use e2e::Stack;
use futures::future::try_join_all;
use uuid::Uuid;

use crate::in_process::{InProcess, up_to};
use crate::link::Link;
use crate::steps::{KINDS, Kind, MOST_WAITS, change, ensure_told, prepared, swept};

/// The events whose change failed at one step each.
async fn failed_at_each_step(
    stack: &Stack,
    here: &InProcess,
    kind: Kind,
) -> anyhow::Result<Vec<Uuid>> {
    let mut events = Vec::new();
    let mut refused = 0;
    for waits in 0..MOST_WAITS {
        let id = prepared(&here.app, kind).await?;
        let link = Link::to(stack.cql_nodes.clone()).await?;
        let failing = InProcess::through(stack, &link).await?;
        let mut failing = change(&failing.app, kind, id, "Failing");
        let done = up_to(waits, &mut failing).await;
        events.push(id);
        if let Some(done) = done {
            done.map_err(anyhow::Error::from)?;
            // The intent, the row, the records, the second look.
            ensure!(
                refused >= 4,
                "{kind:?} failed at {refused} steps of {waits}"
            );
            return Ok(events);
        }
        link.cut();
        // One whose last statement was answered already may still succeed.
        refused += usize::from(failing.await.is_err());
    }
    anyhow::bail!("{kind:?} has no end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_database_fails_a_change_the_topics_end_with_the_row() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let here = InProcess::new(&stack).await?;
    let failing = KINDS.map(|kind| failed_at_each_step(&stack, &here, kind));
    let events = try_join_all(failing).await?.concat();
    swept(&stack, &events).await?;
    ensure_told(&stack, &here.app, &events).await
}
