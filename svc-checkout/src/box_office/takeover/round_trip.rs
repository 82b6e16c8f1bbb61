//! A new owner has the books of the old one: whatever a history makes of them is written as the engine writes it and read
//! as a take-over reads it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use platform::avro::Registry;
use platform::clock::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use schemas::topics::CHECKOUT_STATE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::reading::Reading;
use crate::box_office::changelog::{Changelog, Output};
use crate::box_office::state_records::commands_key;
use crate::domain::decide::tests::histories::{Played, play};
use crate::domain::decide::tests::steps::history;

const NOW: Timestamp = Timestamp::from_seconds(2_000_000);
/// The engine's own histories are more (`domain/decide/tests/histories.rs`); here each record is written and read.
const HISTORIES: u32 = 300;

/// A registry that gives every schema the next id, and knows nothing else.
async fn registry() -> anyhow::Result<Registry> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let registry = Registry::new(&format!("http://{}", listener.local_addr()?))?;
    tokio::spawn(async move {
        let ids = AtomicU32::new(1);
        while let Ok((stream, _)) = listener.accept().await {
            let id = ids.fetch_add(1, Ordering::Relaxed);
            give_id(stream, id).await.expect("one request, one answer");
        }
    });
    Ok(registry)
}

async fn give_id(mut stream: TcpStream, id: u32) -> anyhow::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        anyhow::ensure!(stream.read_buf(&mut request).await? > 0, "cut off");
    }
    let body = format!("{{\"id\":{id}}}");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(())
}

fn is_whole(request: &[u8]) -> bool {
    let request = String::from_utf8_lossy(request);
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

/// What the engine writes to checkout.state, in order.
fn written(changelog: &Changelog, played: &Played) -> Vec<Output> {
    let batches = (0..).zip(&played.committed);
    let mut log: Vec<Output> = batches
        .flat_map(|(offset, changes)| changelog.changes(changes, &commands_key(offset), NOW))
        .filter(|output| output.topic == CHECKOUT_STATE.name)
        .collect();
    log.push(changelog.position("an owner", 77, NOW));
    log
}

/// A log as compaction leaves it: the newest record of each key.
fn compacted(log: &[Output]) -> impl Iterator<Item = &Output> {
    let newest: BTreeMap<&str, usize> = (0..).zip(log).map(|(at, o)| (&*o.key, at)).collect();
    let kept = (0..).zip(log);
    kept.filter_map(move |(at, output)| (newest[&*output.key] == at).then_some(output))
}

fn read<'a>(registry: &Registry, log: impl Iterator<Item = &'a Output>) -> Reading {
    let mut reading = Reading::default();
    for (offset, output) in (0..).zip(log) {
        let payload = output.payload.as_deref();
        let opened = payload.map(|payload| registry.open_known(payload).expect("registered"));
        reading.take(&output.key, offset, opened);
    }
    reading
}

#[tokio::test]
async fn a_new_owner_has_the_books_of_the_old_one() -> anyhow::Result<()> {
    let registry = registry().await?;
    let changelog = Changelog::register(&registry).await?;
    let mut runner = TestRunner::new(ProptestConfig::with_cases(HISTORIES));
    runner.run(&history(), |steps| {
        let played = play(&steps);
        let log = written(&changelog, &played);
        let whole = read(&registry, log.iter()).finish(0, 0);
        let whole = whole.map_err(|damage| TestCaseError::fail(damage.to_string()))?;
        prop_assert_eq!(&whole.books, &played.books);
        prop_assert_eq!((whole.position, whole.last_time), (77, NOW));
        let remembered = whole.remembered.iter().map(|batch| batch.commands.len());
        let effects = played.committed.iter().map(|changes| changes.effects.len());
        prop_assert_eq!(remembered.sum::<usize>(), effects.sum::<usize>());

        let left = read(&registry, compacted(&log)).finish(0, 0);
        let left = left.map_err(|damage| TestCaseError::fail(damage.to_string()))?;
        prop_assert_eq!(left.books, played.books);
        Ok(())
    })?;
    Ok(())
}
