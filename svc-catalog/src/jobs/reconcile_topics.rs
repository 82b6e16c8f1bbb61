//! Looks whether the topics end with what the rows say, and publishes what they do not end with; and whether every event is in
//! its organizer's list.
//!
//! Intents see to it that they do, and with them alone everything is published that a crash or a stall left open. This is for
//! what has no intent any more: a handler that stood still for longer than the sweeper waits, wrote after its intent was
//! settled and died before it published; a topic or a database that came back from a copy.

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use platform::avro::Registry;
use platform::config::KafkaConfig;
use platform::cql::CqlError;
use platform::intent::{Intents, PublishError, Published};
use platform::kafka::table::TableError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::consume::last_records::LastRecords;
use crate::domain::voucher::VoucherKey;
use crate::store::event::EventVersion;

/// It reads both topics and both tables: some seconds of CPU with 100,000 events. What it is for is rare.
const EVERY: Duration = Duration::from_hours(6);
/// Publications at a time.
const AT_ONCE: usize = 16;

/// Why nothing is known now.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A topic could not be read.
    #[error(transparent)]
    Topic(#[from] TableError),
    /// A table could not be read.
    #[error(transparent)]
    Rows(#[from] CqlError),
    /// Something was not published. The rest was.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What had to be done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// Events and vouchers that were published.
    pub published: usize,
    /// Events that people have seen and that have no row. That is never so because somebody deleted them, so nothing is said about
    /// them: the database has lost them.
    pub lost: usize,
}

/// Reconciles every few hours until `stop`. That several instances do it harms nobody.
pub async fn run(app: &App, kafka: &KafkaConfig, registry: &Registry, stop: CancellationToken) {
    let mut tick = interval_at(Instant::now() + EVERY, EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let work = async {
        loop {
            tick.tick().await;
            match once(app, kafka, registry).await {
                Ok(Reconciled {
                    published: 0,
                    lost: 0,
                }) => tracing::info!("the topics end with the rows"),
                Ok(Reconciled { published, lost }) => {
                    tracing::warn!(published, lost, "the topics did not end with the rows");
                }
                Err(error) => tracing::warn!(%error, "not reconciled"),
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(work).await;
}

/// Reconciles. Whatever changes meanwhile may be published once too often.
pub async fn once(
    app: &App,
    kafka: &KafkaConfig,
    registry: &Registry,
) -> Result<Reconciled, ReconcileError> {
    // By an instance of before, that did not know the list.
    let added = app.by_organizer.add_missing().await?;
    if added > 0 {
        tracing::info!(added, "events that were in no organizer's list");
    }
    // Two readers and their clients: large, and rarely there.
    let last = Box::pin(LastRecords::read(kafka, registry)).await?;
    let events = app.events.versions().await?;
    let vouchers = app.vouchers.versions().await?;
    let Differing {
        events: differing,
        lost,
    } = differing_events(&events, &last);
    let vouchers = differing_vouchers(vouchers, &events, &last);
    let published = publish_all(&app.intents, &app.publication, differing).await?
        + publish_all(&app.voucher_intents, &app.voucher_publication, vouchers).await?;
    Ok(Reconciled { published, lost })
}

/// Each with an intent: who is killed may have published an old version last, when a newer one has passed.
async fn publish_all<P: Published>(
    intents: &Arc<Intents>,
    rows: &Arc<P>,
    ids: Vec<Uuid>,
) -> Result<usize, PublishError> {
    let count = ids.len();
    let publications = ids.into_iter().map(|id| {
        let (intents, rows) = (Arc::clone(intents), Arc::clone(rows));
        async move {
            let intent = intents.begin(id).await?;
            intents.settle(&*rows, intent).await
        }
    });
    stream::iter(publications.collect::<Vec<_>>())
        .buffer_unordered(AT_ONCE)
        // One that cannot be published must not keep the others waiting.
        .fold(Ok(count), |all, one| ready(one.and(all)))
        .await
}

/// Events whose last records are not those of their rows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differing {
    events: Vec<Uuid>,
    lost: usize,
}

fn differing_events(rows: &HashMap<Uuid, EventVersion>, last: &LastRecords) -> Differing {
    let mut differing = Differing::default();
    for (id, row) in rows {
        let snapshot = last.snapshots.get(id).map(|last| last.version);
        let inventory = last.inventories.get(id).map(|last| last.version);
        let wanted = Some(row.version);
        if snapshot != wanted || inventory != wanted.filter(|_| row.sells) {
            differing.events.push(*id);
        }
    }
    let told: HashSet<&Uuid> = last
        .snapshots
        .keys()
        .chain(last.inventories.keys())
        .collect();
    for id in told.into_iter().filter(|id| !rows.contains_key(id)) {
        let of = [last.snapshots.get(id), last.inventories.get(id)];
        if of.into_iter().flatten().all(|last| last.is_draft) {
            // Deleted; the publication finds no row and buries it.
            differing.events.push(*id);
        } else {
            differing.lost += 1;
        }
    }
    differing
}

/// Vouchers whose last records are not those of their rows. A voucher goes with its event and keeps its row.
fn differing_vouchers(
    rows: Vec<(VoucherKey, Option<i64>)>,
    events: &HashMap<Uuid, EventVersion>,
    last: &LastRecords,
) -> Vec<Uuid> {
    let differs = |(key, version): &(VoucherKey, Option<i64>)| {
        let wanted = version.filter(|_| events.contains_key(&key.event_id));
        last.vouchers.get(key).copied() != wanted
    };
    let differing = rows.into_iter().filter(differs);
    differing.map(|(key, _)| key.id()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consume::last_records::Last;

    const EVENT: Uuid = Uuid::from_u128(1);

    fn rows(version: i64, sells: bool) -> HashMap<Uuid, EventVersion> {
        [(EVENT, EventVersion { version, sells })].into()
    }

    fn told(snapshot: Option<(i64, bool)>, inventory: Option<(i64, bool)>) -> LastRecords {
        let last = |of: Option<(i64, bool)>| {
            let last = of.map(|(version, is_draft)| (EVENT, Last { version, is_draft }));
            last.into_iter().collect()
        };
        LastRecords {
            snapshots: last(snapshot),
            inventories: last(inventory),
            vouchers: HashMap::new(),
        }
    }

    #[test]
    fn both_last_records_have_to_be_those_of_the_row() {
        for (row, snapshot, inventory, fits) in [
            (rows(3, true), Some((3, false)), Some((3, false)), true),
            (rows(1, false), Some((1, true)), None, true),
            (rows(3, true), Some((2, true)), Some((3, false)), false),
            (rows(3, true), Some((3, false)), Some((2, true)), false),
            // A newer record that is followed by an older one is as wrong as none.
            (rows(3, true), Some((4, false)), Some((3, false)), false),
            (rows(3, true), None, Some((3, false)), false),
            (rows(3, true), Some((3, false)), None, false),
            // Its last ticket type is gone.
            (rows(3, false), Some((3, true)), Some((2, true)), false),
            // A deleted draft that nobody buried.
            (HashMap::new(), Some((2, true)), None, false),
            (HashMap::new(), None, Some((2, true)), false),
            (HashMap::new(), None, None, true),
        ] {
            let found = differing_events(&row, &told(snapshot, inventory));
            let expected = Differing {
                events: if fits { vec![] } else { vec![EVENT] },
                lost: 0,
            };
            assert_eq!(found, expected, "{row:?} {snapshot:?} {inventory:?}");
        }
    }

    #[test]
    fn what_people_have_seen_is_not_buried_because_its_row_is_missing() {
        for last in [
            told(Some((3, false)), Some((3, false))),
            told(Some((2, true)), Some((3, false))),
            told(Some((3, false)), None),
        ] {
            let lost = Differing {
                events: vec![],
                lost: 1,
            };
            assert_eq!(differing_events(&HashMap::new(), &last), lost);
        }
    }

    #[test]
    fn a_voucher_is_told_as_long_as_it_and_its_event_are_there() {
        let key = VoucherKey::parse(EVENT, "EARLY").expect("a code");
        let last = |version: Option<i64>| LastRecords {
            vouchers: version
                .map(|version| (key.clone(), version))
                .into_iter()
                .collect(),
            ..LastRecords::default()
        };
        for (row, events, told, fits) in [
            (Some(2), rows(1, false), Some(2), true),
            (Some(2), rows(1, false), Some(1), false),
            (Some(2), rows(1, false), None, false),
            (None, rows(1, false), Some(1), false),
            (None, rows(1, false), None, true),
            (Some(2), HashMap::new(), Some(2), false),
            (Some(2), HashMap::new(), None, true),
        ] {
            let found = differing_vouchers(vec![(key.clone(), row)], &events, &last(told));
            let expected = if fits { vec![] } else { vec![key.id()] };
            assert_eq!(found, expected, "{row:?} {events:?} {told:?}");
        }
    }
}
