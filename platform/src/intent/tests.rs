//! Writers that are interleaved, stalled, killed and lied to at every step, and the sweeper behind them: whatever happens,
//! the topic ends with the row.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use rdkafka::error::KafkaError;

use super::*;

const AGGREGATE: Uuid = Uuid::nil();

/// What becomes of a record that is sent.
#[derive(Debug, Clone, Copy)]
enum Sent {
    Arrives,
    /// Neither does it arrive nor is it acknowledged.
    IsLost,
    /// It arrives and its acknowledgement does not.
    ArrivesUnsaid,
    /// It was given up and arrives later all the same.
    ArrivesLate,
}

/// What becomes of a call of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Works,
    /// It does nothing, and says so.
    Fails,
    /// It does what it shall and its answer gets lost.
    WorksUnsaid,
}

impl Asked {
    fn happens(self) -> bool {
        self != Self::Fails
    }

    fn answer(self) -> Result<(), CqlError> {
        match self {
            Self::Works => Ok(()),
            Self::Fails | Self::WorksUnsaid => Err(CqlError::answer("the database is away")),
        }
    }
}

/// The database and the broker.
#[derive(Default)]
struct World {
    row: Option<i64>,
    is_deleted: bool,
    topic: Vec<Option<i64>>,
    /// On the way, and given up by those who sent them.
    late: Vec<Option<i64>>,
    owed: BTreeSet<usize>,
    /// What becomes of the next records; after these all arrive.
    fates: Vec<Sent>,
    /// What becomes of the next calls of the database; after these all work.
    calls: Vec<Asked>,
}

impl World {
    fn ask(&mut self) -> Asked {
        self.calls.pop().unwrap_or(Asked::Works)
    }
}

#[derive(Clone, Default)]
struct Rows(Arc<Mutex<World>>);

impl Rows {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a handler does, and then `publish`.
    async fn write<P>(self, writer: usize, deletes: bool, publish: impl FnOnce(Self) -> P)
    where
        P: Future<Output = Result<(), PublishError>>,
    {
        let begun = self.world().ask();
        if begun.happens() {
            self.world().owed.insert(writer);
        }
        // Whoever does not know that his intent is there changes nothing.
        if begun.answer().is_err() {
            return;
        }
        step().await;
        let changed = {
            let mut world = self.world();
            if world.is_deleted {
                // Refused, and no id comes again.
                world.owed.remove(&writer);
                return;
            }
            let asked = world.ask();
            if asked.happens() {
                world.is_deleted = deletes;
                // A lightweight transaction: nobody comes between.
                let next = world.row.map_or(1, |version| version + 1);
                world.row = Some(next).filter(|_| !deletes);
            }
            asked
        };
        // Told to be away, though the row may have changed: the intent stays.
        if changed.answer().is_err() {
            return;
        }
        step().await;
        if publish(self.clone()).await.is_ok() {
            step().await;
            let done = self.world().ask();
            if done.happens() {
                self.world().owed.remove(&writer);
            }
        }
    }
}

/// Somebody else may do something here, and this may be the last that is heard of who waits.
async fn step() {
    let mut waited = false;
    poll_fn(|_| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

impl Published for Rows {
    type Row = i64;

    async fn read(&self, _: Uuid) -> Result<Option<i64>, CqlError> {
        step().await;
        let (row, asked) = {
            let mut world = self.world();
            (world.row, world.ask())
        };
        step().await;
        asked.answer().map(|()| row)
    }

    fn version(row: &i64) -> i64 {
        *row
    }

    async fn produce(&self, _: Uuid, row: Option<&i64>) -> Result<(), ProduceError> {
        step().await;
        let is_said = {
            let mut world = self.world();
            let fate = world.fates.pop().unwrap_or(Sent::Arrives);
            match fate {
                Sent::Arrives | Sent::ArrivesUnsaid => world.topic.push(row.copied()),
                Sent::ArrivesLate => world.late.push(row.copied()),
                Sent::IsLost => {}
            }
            matches!(fate, Sent::Arrives)
        };
        step().await;
        match is_said {
            true => Ok(()),
            false => Err(ProduceError {
                topic: "table".to_owned(),
                source: KafkaError::Canceled,
            }),
        }
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Goes one step further; whether that was the last one.
fn poll(task: &mut Task) -> bool {
    task.as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

/// The task after one step more; none when that was the last one.
fn go_on(mut task: Task) -> Option<Task> {
    (!poll(&mut task)).then_some(task)
}

async fn publish(rows: Rows) -> Result<(), PublishError> {
    publish_newest(&rows, AGGREGATE).await
}

/// What [`publish`] would be if it did not read again.
async fn publish_once(rows: Rows) -> Result<(), PublishError> {
    let row = rows.read(AGGREGATE).await?;
    rows.produce(AGGREGATE, row.as_ref()).await?;
    Ok(())
}

/// What is still owed when everybody has ended or died, the sweeper publishes.
fn sweep(rows: &Rows) {
    let late = std::mem::take(&mut rows.world().late);
    rows.world().topic.extend(late);
    rows.world().fates.clear();
    rows.world().calls.clear();
    let owed = rows.world().owed.clone();
    for _ in owed {
        let rows = rows.clone();
        let mut sweeping: Task = Box::pin(async move {
            publish(rows).await.expect("nothing is in its way");
        });
        while !poll(&mut sweeping) {}
    }
}

/// What the schedule does next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// This writer goes one step further. The others stall.
    Step(usize),
    /// This writer dies.
    Kill(usize),
    /// A record that was given up arrives.
    Deliver,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        30 => (0..4_usize).prop_map(Turn::Step),
        1 => (0..4_usize).prop_map(Turn::Kill),
        2 => Just(Turn::Deliver),
    ]
}

fn fate() -> impl Strategy<Value = Sent> {
    prop_oneof![
        4 => Just(Sent::Arrives),
        1 => Just(Sent::IsLost),
        1 => Just(Sent::ArrivesUnsaid),
        1 => Just(Sent::ArrivesLate),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        6 => Just(Asked::Works),
        1 => Just(Asked::Fails),
        1 => Just(Asked::WorksUnsaid),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The promise of this module.
    #[test]
    fn the_topic_ends_with_the_row(
        turns in prop::collection::vec(turn(), 0..160),
        fates in prop::collection::vec(fate(), 0..12),
        calls in prop::collection::vec(asked(), 0..24),
        deleting in prop::option::weighted(0.2, 0..4_usize),
    ) {
        let rows = Rows::default();
        rows.world().fates = fates;
        rows.world().calls = calls;
        let mut writers: Vec<Option<Task>> = (0..4)
            .map(|n| -> Option<Task> {
                Some(Box::pin(rows.clone().write(n, deleting == Some(n), publish)))
            })
            .collect();
        for turn in turns {
            match turn {
                Turn::Step(n) => writers[n] = writers[n].take().and_then(go_on),
                Turn::Kill(n) => writers[n] = None,
                Turn::Deliver => {
                    let mut world = rows.world();
                    let late = world.late.pop();
                    world.topic.extend(late);
                }
            }
        }
        drop(writers);
        sweep(&rows);
        let world = rows.world();
        prop_assert_eq!(world.topic.last().copied().flatten(), world.row);
    }
}

/// The schedule that reading again is for: one writer stalls between its read and its record.
fn with_a_stalled_writer<P>(publish: fn(Rows) -> P) -> (Option<i64>, Option<i64>)
where
    P: Future<Output = Result<(), PublishError>> + 'static,
{
    let rows = Rows::default();
    let mut slow: Task = Box::pin(rows.clone().write(0, false, publish));
    let mut quick: Task = Box::pin(rows.clone().write(1, false, publish));
    // Written, and read as version 1.
    while rows.world().row.is_none() {
        poll(&mut slow);
    }
    poll(&mut slow);
    poll(&mut slow);
    poll(&mut slow);
    while !poll(&mut quick) {}
    while !poll(&mut slow) {}
    sweep(&rows);
    let world = rows.world();
    (world.topic.last().copied().flatten(), world.row)
}

#[test]
fn a_writer_that_stalls_leaves_no_old_version_behind() {
    assert_eq!(with_a_stalled_writer(publish), (Some(2), Some(2)));
    assert_eq!(
        with_a_stalled_writer(publish_once),
        (Some(1), Some(2)),
        "the schedule shows what goes wrong without the second read"
    );
}
