//! Changes that die, stall or fail at each of their steps: in the end the last record of every key is the newest row.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

use anyhow::ensure;
use e2e::wait::SOON;
use e2e::{SeenRecord, Stack, eventually};
use futures::future::join_all;
use platform::clock::Timestamp;
use platform::http::{Code, Problem};
use platform::ids::new_id;
use platform::money::{Currency, Money};
use schemas::catalog::{EventInventory, EventSnapshot, VoucherTerms, voucher_key};
use svc_catalog::app::App;
use svc_catalog::change_voucher::Next;
use svc_catalog::domain::event::{Details, Event, Venue};
use svc_catalog::domain::ticket_type::Terms;
use svc_catalog::domain::voucher::{self, Reduction, VoucherKey};
use svc_catalog::jobs::reconcile_topics;
use uuid::Uuid;

use crate::crashes::database;
use crate::in_process::{InProcess, up_to};

/// What is owed is settled when it is 15 s old, and looked for every five.
const SWEPT: Duration = Duration::from_secs(90);
/// No change waits as often.
pub(crate) const MOST_WAITS: usize = 200;
const CODE: &str = "EARLY";

/// What is done to an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Create,
    Rename,
    Publish,
    /// What is published already: nothing changes, and everybody is told once more.
    PublishAgain,
    Delete,
    MakeVoucher,
}

pub(crate) const KINDS: [Kind; 6] = [
    Kind::Create,
    Kind::Rename,
    Kind::Publish,
    Kind::PublishAgain,
    Kind::Delete,
    Kind::MakeVoucher,
];

pub(crate) type Change<'a> = Pin<Box<dyn Future<Output = Result<(), Problem>> + 'a>>;

fn details(name: &str) -> Details {
    let starts_at = Timestamp::now_millis() + Duration::from_secs(86_400);
    Details {
        name: name.to_owned(),
        kind: "concert".to_owned(),
        description: String::new(),
        venue: Venue {
            name: "Old Mill".to_owned(),
            city: "Lyon".to_owned(),
            address: "1 rue du Moulin".to_owned(),
        },
        starts_at,
        ends_at: starts_at + Duration::from_secs(3_600),
        time_zone: "Europe/Paris".to_owned(),
        capacity: None,
        image_url: None,
        attendance_releases_seat: false,
    }
}

fn draft(id: Uuid) -> Event {
    let drafted = Event::draft(id, new_id(), details("Steps"), Timestamp::now());
    drafted.expect("details that keep the rules")
}

fn key(event_id: Uuid) -> VoucherKey {
    VoucherKey::parse(event_id, CODE).expect("a code")
}

/// A draft that sells something, told to all; but for who shall make one nothing.
pub(crate) async fn prepared(app: &App, kind: Kind) -> anyhow::Result<Uuid> {
    let id = new_id();
    if matches!(kind, Kind::Create) {
        return Ok(id);
    }
    app.create(&draft(id)).await.map_err(anyhow::Error::from)?;
    let general = Terms {
        name: "Stalls".to_owned(),
        kind: "general".to_owned(),
        price: Money::new(2_500, Currency::EUR),
        quantity: 10,
        max_per_buyer: None,
        sale_starts_at: None,
        sale_ends_at: None,
    };
    let ticket_type = new_id();
    let added = app.change(id, |event| {
        let added = event.add_ticket_type(ticket_type, general.clone());
        added.map_err(|_| Problem::new(Code::Invalid))
    });
    added.await.map_err(anyhow::Error::from)?;
    if matches!(kind, Kind::PublishAgain) {
        change(app, Kind::Publish, id, "")
            .await
            .map_err(anyhow::Error::from)?;
    }
    Ok(id)
}

pub(crate) fn change<'a>(app: &'a App, kind: Kind, id: Uuid, name: &'a str) -> Change<'a> {
    Box::pin(async move {
        let invalid = || Problem::new(Code::Invalid);
        match kind {
            Kind::Create => app.create(&draft(id)).await,
            Kind::Rename => {
                let renamed = |event: &Event| {
                    event
                        .change_details(details(name), Timestamp::now())
                        .map_err(|_| invalid())
                };
                app.change(id, renamed).await.map(drop)
            }
            Kind::Publish | Kind::PublishAgain => {
                let published =
                    |event: &Event| event.publish(Timestamp::now()).map_err(|_| invalid());
                app.change(id, published).await.map(drop)
            }
            Kind::Delete => app.delete(id, |_| Ok(())).await,
            Kind::MakeVoucher => {
                let terms = voucher::Terms {
                    reduction: Reduction::Percent(10),
                    max_uses: 5,
                    valid_until: None,
                };
                let made = |_: Option<&voucher::Voucher>| {
                    Ok(Next {
                        terms,
                        is_deleted: false,
                    })
                };
                app.change_voucher(&key(id), made).await.map(drop)
            }
        }
    })
}

/// Waits until nothing is owed for any of these events. The stack's svc-catalog sweeps.
pub(crate) async fn swept(stack: &Stack, events: &[Uuid]) -> anyhow::Result<()> {
    let database = database(stack).await?;
    let mut ids: HashSet<Uuid> = events.iter().copied().collect();
    ids.extend(events.iter().map(|event| key(*event).id()));
    eventually(SWEPT, "nothing to be owed any more", async || {
        for table in ["intents", "voucher_intents"] {
            let owed = format!("SELECT aggregate_id FROM {table}");
            let owed = database.query_unpaged(owed, ()).await?.into_rows_result()?;
            for row in owed.rows::<(Uuid,)>()? {
                let (id,) = row?;
                ensure!(!ids.contains(&id), "{table} has {id}");
            }
        }
        Ok(Some(()))
    })
    .await
}

/// The version of the last record of a key; none for a tombstone, and where there is no record.
fn last_version<R: schemas::Record>(
    records: &[SeenRecord],
    key: &str,
    version: impl Fn(R) -> i64,
) -> anyhow::Result<Option<i64>> {
    let last = records.iter().rfind(|record| record.key == key);
    match last.filter(|record| !record.is_tombstone()) {
        Some(record) => Ok(Some(version(record.read()?))),
        None => Ok(None),
    }
}

/// The promise.
pub(crate) async fn ensure_told(stack: &Stack, app: &App, events: &[Uuid]) -> anyhow::Result<()> {
    let snapshots = stack.all_records("catalog.events").await?;
    let inventory = stack.all_records("catalog.inventory").await?;
    for id in events {
        let row = app
            .events
            .find_serial(*id)
            .await?
            .map(|stored| stored.event);
        let version = row.as_ref().map(|event| event.version);
        let snapshot = last_version(&snapshots, &id.to_string(), |told: EventSnapshot| {
            told.version
        })?;
        ensure!(
            snapshot == version,
            "{id}: {snapshot:?} is told of {version:?}"
        );
        let sold = row.as_ref().filter(|event| !event.ticket_types.is_empty());
        let sold = sold.map(|event| event.version);
        let told = last_version(&inventory, &id.to_string(), |told: EventInventory| {
            told.version
        })?;
        ensure!(
            told == sold,
            "{id}: {told:?} is told to be sold of {sold:?}"
        );

        let row = app.vouchers.find_serial(key(*id).id()).await?;
        let live = row.filter(|row| !row.is_deleted && version.is_some());
        let live = live.map(|row| row.voucher.version);
        let told = last_version(&inventory, &voucher_key(*id, CODE), |told: VoucherTerms| {
            told.version
        })?;
        ensure!(
            told == live,
            "{id}: {told:?} is told of the voucher {live:?}"
        );
    }
    Ok(())
}

/// Each change begins anew and dies wherever it waits for the database or the broker; and each has a broker that does not
/// answer.
#[tokio::test]
async fn wherever_a_change_dies_or_fails_the_topics_end_with_the_row() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let here = InProcess::new(&stack).await?;
    let mut events = Vec::new();
    for kind in KINDS {
        let mut died = 0;
        for waits in 0..MOST_WAITS {
            let id = prepared(&here.app, kind).await?;
            events.push(id);
            let mut dying = change(&here.app, kind, id, "Renamed");
            if let Some(done) = up_to(waits, &mut dying).await {
                done.map_err(anyhow::Error::from)?;
                break;
            }
            died += 1;
        }
        // The intent, the row, the records, the second look, the end of the intent.
        ensure!(
            (5..MOST_WAITS).contains(&died),
            "{kind:?} died {died} times"
        );
    }

    let deaf = InProcess::without_broker(&stack).await?;
    let prepared = join_all(KINDS.map(|kind| prepared(&here.app, kind))).await;
    let prepared = prepared.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let failing = KINDS.iter().zip(&prepared);
    let failing = failing.map(|(kind, id)| change(&deaf.app, *kind, *id, "Renamed"));
    for (kind, answer) in KINDS.iter().zip(join_all(failing).await) {
        ensure!(answer.is_err(), "{kind:?} was published by nobody");
    }
    events.extend(prepared);

    swept(&stack, &events).await?;
    ensure_told(&stack, &here.app, &events).await
}

/// The row of who stands still may come in between: whoever wanted to delete the one before looks again.
async fn pass(app: &App, kind: Kind, id: Uuid) -> anyhow::Result<()> {
    eventually(SOON, "the other change", async || {
        let passed = change(app, kind, id, "Quick").await;
        passed.map(Some).map_err(anyhow::Error::from)
    })
    .await
}

/// One writer stands still wherever it waits, another one passes, and then the first goes on: to its end, or until it is
/// killed a little later, perhaps with its old version as the last one that was sent.
#[tokio::test]
async fn wherever_a_change_stalls_another_one_may_pass() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let here = InProcess::new(&stack).await?;
    let mut events = Vec::new();
    for (slow, quick) in [
        (Kind::Rename, Kind::Rename),
        (Kind::Rename, Kind::Publish),
        (Kind::Publish, Kind::Rename),
        (Kind::PublishAgain, Kind::Rename),
        (Kind::Rename, Kind::Delete),
        (Kind::MakeVoucher, Kind::MakeVoucher),
        (Kind::MakeVoucher, Kind::Delete),
    ] {
        let mut stalled = 0;
        for waits in 0..MOST_WAITS {
            let ids = [
                prepared(&here.app, slow).await?,
                prepared(&here.app, slow).await?,
            ];
            events.extend(ids);
            let [mut dying, mut stalling] = ids.map(|id| change(&here.app, slow, id, "Slow"));
            if up_to(waits, &mut stalling).await.is_some() {
                break;
            }
            stalled += 1;
            let died = up_to(waits, &mut dying).await.is_some();
            for id in ids {
                pass(&here.app, quick, id).await?;
            }
            if !died {
                up_to(1, &mut dying).await;
            }
            drop(dying);
            // Refused where there is nothing to change any more, and done everywhere else.
            let went_on = stalling.await;
            ensure!(
                went_on.is_ok() || matches!(quick, Kind::Delete),
                "{slow:?} after {quick:?}: {went_on:?}"
            );
        }
        ensure!((5..MOST_WAITS).contains(&stalled), "{stalled} times");
    }
    // What the dead and the refused left owed.
    swept(&stack, &events).await?;
    ensure_told(&stack, &here.app, &events).await
}

/// Stands still until the sweeper has settled what it owes, goes on, and is killed before it has told anybody: nobody owes
/// anything then. That is what reconciling is for.
#[tokio::test]
async fn who_wakes_when_nothing_is_owed_and_dies_is_found() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let here = InProcess::new(&stack).await?;
    let mut events = Vec::new();
    let mut sleeping = Vec::new();
    for kind in KINDS {
        for waits in 0..MOST_WAITS {
            let id = prepared(&here.app, kind).await?;
            let mut stalling = change(&here.app, kind, id, "Late");
            if up_to(waits, &mut stalling).await.is_some() {
                break;
            }
            events.push(id);
            sleeping.push((waits, stalling));
        }
    }
    swept(&stack, &events).await?;
    for (waits, mut stalled) in sleeping {
        // Some get as far as their row, some to their records, some to their end.
        up_to(waits % 4, &mut stalled).await;
    }
    // And one of whom nothing is known but the row.
    let id = prepared(&here.app, Kind::Rename).await?;
    let before = here.app.events.find(id).await?.expect("a draft");
    ensure!(
        here.app
            .events
            .replace(&before, &before.restated(), new_id())
            .await?
    );
    let buried = prepared(&here.app, Kind::Delete).await?;
    let draft = here.app.events.find(buried).await?.expect("a draft");
    ensure!(here.app.events.delete(&draft).await?);
    events.extend([id, buried]);

    let done = reconcile_topics::once(&here.app, &here.config.kafka, &here.registry).await?;
    ensure!(done.published >= 2, "{done:?}");
    swept(&stack, &events).await?;
    ensure_told(&stack, &here.app, &events).await
}
