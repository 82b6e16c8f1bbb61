//! What becomes of records when members of a group come and go: the consumer that all services share, here with
//! several records of a partition in hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use e2e::eventually;
use futures::future::try_join_all;
use platform::ids::new_id;
use platform::kafka::consumer::{Handler, Incoming, Outcome};
use tokio::sync::Semaphore;

use crate::group::Group;
use crate::records::{DEADLINE, World};

/// Longer than it takes to join, and than the time between two things that the client says of itself.
const SOON: Duration = Duration::from_secs(15);
/// Records of one partition in hand at a time.
const AT_ONCE: usize = 4;
/// Every so many records one takes its time.
const SLOW: usize = 5;

/// Notes what is handled. Two gates hold it up.
struct Seen {
    slow: Semaphore,
    others: Semaphore,
    /// How often, by partition and offset.
    handled: Mutex<BTreeMap<(i32, i64), usize>>,
}

impl Seen {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slow: Semaphore::new(0),
            others: Semaphore::new(0),
            handled: Mutex::default(),
        })
    }

    fn open(gate: &Semaphore) {
        gate.add_permits(Semaphore::MAX_PERMITS);
    }

    fn handled(&self) -> BTreeMap<(i32, i64), usize> {
        let handled = self.handled.lock();
        handled.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many records were handled.
    async fn wait_for(&self, count: usize) -> anyhow::Result<()> {
        let what = format!("{count} records to be handled");
        let enough = async || Ok((self.handled().len() >= count).then_some(()));
        eventually(DEADLINE, &what, enough).await
    }
}

impl Handler for Seen {
    async fn handle(&self, record: &Incoming<'_>) -> Outcome {
        let slow = usize::try_from(record.offset).is_ok_and(|offset| offset % SLOW == 0);
        let gate = if slow { &self.slow } else { &self.others };
        let passed = gate.acquire().await;
        let mut handled = self.handled.lock().unwrap_or_else(PoisonError::into_inner);
        *handled
            .entry((record.partition, record.offset))
            .or_default() += 1;
        passed.map_or_else(|_| Outcome::Dead("closed".into()), |_| Outcome::Done)
    }
}

async fn fill(world: &World, group: &Group, partition: i32, count: usize) -> anyhow::Result<()> {
    let puts = (0..count).map(|_| group.put(world, partition, new_id()));
    try_join_all(puts).await?;
    Ok(())
}

/// How many records are handled while the first slow ones are not: those between them.
const BETWEEN: usize = (AT_ONCE - 1) * (SLOW - 1);

#[tokio::test]
async fn who_dies_has_stored_nothing_behind_what_is_not_done() -> anyhow::Result<()> {
    const RECORDS: usize = 50;
    let world = World::new()?;
    let group = Group::new(&world, 1).await?;
    fill(&world, &group, 0, RECORDS).await?;

    let first = Seen::new();
    Seen::open(&first.others);
    let member = group.join(&world, AT_ONCE, Arc::clone(&first));
    // The first record is slow and in hand: these are done behind it.
    first.wait_for(BETWEEN).await?;
    member.kill().await;
    assert_eq!(first.handled().len(), BETWEEN);
    assert_eq!(group.committed(0)?, 0);

    let next = Seen::new();
    Seen::open(&next.others);
    Seen::open(&next.slow);
    let member = group.join(&world, AT_ONCE, Arc::clone(&next));
    next.wait_for(RECORDS).await?;
    member.stop().await?;
    assert_eq!(group.committed(0)?, i64::try_from(RECORDS)?);
    Ok(())
}

#[tokio::test]
async fn who_stops_ends_what_it_has_in_hand_and_it_does_not_come_again() -> anyhow::Result<()> {
    const RECORDS: usize = 50;
    let world = World::new()?;
    let group = Group::new(&world, 1).await?;
    fill(&world, &group, 0, RECORDS).await?;

    let seen = Seen::new();
    Seen::open(&seen.others);
    let member = group.join(&world, AT_ONCE, Arc::clone(&seen));
    seen.wait_for(BETWEEN).await?;
    member.tell_to_stop();
    Seen::open(&seen.slow);
    member.stop().await?;
    let handled = seen.handled().len();
    assert!(handled >= BETWEEN + AT_ONCE);
    assert_eq!(group.committed(0)?, i64::try_from(handled)?);

    let member = group.join(&world, AT_ONCE, Arc::clone(&seen));
    seen.wait_for(RECORDS).await?;
    member.stop().await?;
    assert!(seen.handled().values().all(|times| *times == 1));
    Ok(())
}

/// A second member joins, gets one of two partitions, handles nothing and dies. Returns that partition.
async fn lend(world: &World, group: &Group) -> anyhow::Result<i32> {
    let owner = group.shared_by(1).await?;
    let idle = Seen::new();
    let borrower = group.join(world, 1, Arc::clone(&idle));
    let shares = group.shared_by(2).await?;
    borrower.kill().await;
    group.shared_by(1).await?;
    assert!(idle.handled().is_empty());
    let lent = shares.into_iter().find(|(id, _)| !owner.contains_key(id));
    let (_, lent) = lent.context("the share of the second member")?;
    lent.first().copied().context("a partition")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_record_of_a_partition_that_was_lent_is_handled() -> anyhow::Result<()> {
    let world = World::new()?;
    let group = Group::new(&world, 2).await?;
    let seen = Seen::new();
    Seen::open(&seen.others);
    Seen::open(&seen.slow);
    let member = group.join(&world, AT_ONCE, Arc::clone(&seen));
    // Nothing comes meanwhile.
    let lent = lend(&world, &group).await?;
    fill(&world, &group, lent, 1).await?;
    seen.wait_for(1).await?;
    assert_eq!(seen.handled(), BTreeMap::from([((lent, 0), 1)]));
    member.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_lent_with_much_to_do_is_read_on() -> anyhow::Result<()> {
    /// More than wait before a partition is paused.
    const RECORDS: usize = 400;
    let world = World::new()?;
    let group = Group::new(&world, 2).await?;
    for partition in 0..2 {
        fill(&world, &group, partition, RECORDS).await?;
    }
    let seen = Seen::new();
    let member = group.join(&world, AT_ONCE, Arc::clone(&seen));
    lend(&world, &group).await?;
    Seen::open(&seen.others);
    Seen::open(&seen.slow);
    seen.wait_for(2 * RECORDS).await?;
    member.stop().await
}

#[tokio::test]
async fn a_client_that_stays_out_of_its_group_is_replaced() -> anyhow::Result<()> {
    const RECORDS: usize = 10;
    let world = World::new()?;
    let group = Group::new(&world, 1).await?;
    fill(&world, &group, 0, RECORDS).await?;

    let deaf = group.deaf_member()?;
    let alone = group.members()?;
    let seen = Seen::new();
    Seen::open(&seen.others);
    Seen::open(&seen.slow);
    let member = group.join_within(&world, SOON, AT_ONCE, Arc::clone(&seen));
    let newcomers = async |than: BTreeSet<String>, what: &str| {
        eventually(DEADLINE, what, async || {
            let new: BTreeSet<_> = group.members()?.difference(&than).cloned().collect();
            Ok((!new.is_empty()).then_some(new))
        })
        .await
    };
    let first = newcomers(alone.clone(), "the client to ask for its share").await?;
    let known = alone.union(&first).cloned().collect();
    newcomers(known, "another client in its place").await?;
    assert_eq!(seen.handled().len(), 0, "there is no share yet");

    drop(deaf);
    seen.wait_for(RECORDS).await?;
    member.stop().await
}
