//! Publishing what a row says, whatever crashes in between.
//!
//! A handler never writes the database and then hopes that Kafka follows. It goes
//! (1) [`Intents::begin`]: a row that says a publication is owed;
//! (2) the change of the aggregate by a lightweight transaction, version + 1;
//! (3) [`publish_newest`]: the snapshot goes out, the row is read again, and that repeats until
//!     the row's version is the one just published — else a slow writer could leave an old
//!     version as the last one of its key, and compaction keeps that one for ever;
//! (4) [`Intents::done`]: only then the intent goes.
//! Handler and [`Intents::sweep`] use the same function; what a crash left, the sweeper
//! finishes. The promise: the last record of a key is the newest state.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::cql::{self, CqlError};
use crate::ids::new_id;
use crate::kafka::producer::{DELIVERY_TIMEOUT, ProduceError};

/// Intents are spread over this many partitions, so that none grows without bound.
const BUCKETS: i32 = 16;
/// Longest time that a handler works on a change.
const HANDLER_DEADLINE: Duration = Duration::from_secs(10);
/// A younger intent may still be in its handler's hands.
pub const SWEEP_AFTER: Duration =
    Duration::from_secs(HANDLER_DEADLINE.as_secs() + DELIVERY_TIMEOUT.as_secs());
/// How often what is owed is looked for.
pub const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// A row that changes faster than it is published is given up for this time; its intent stays.
const MAX_ROUNDS: u32 = 20;

/// The table that every service with owned rows has.
pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS intents (\
    bucket int, intent_id uuid, aggregate_id uuid, at timestamp, \
    PRIMARY KEY (bucket, intent_id))";

/// Why a publication did not happen. The intent stays and the sweeper tries again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The row could not be read.
    #[error(transparent)]
    Cql(#[from] CqlError),
    /// The broker did not take the record.
    #[error(transparent)]
    Produce(#[from] ProduceError),
    /// The row changed faster than it could be published.
    #[error("the row changed during each of {MAX_ROUNDS} publications")]
    Restless,
}

/// Rows of one kind with their table topics.
pub trait Published: Send + Sync + 'static {
    /// A row's newest state.
    type Row: Send + Sync;

    /// Reads the row at SERIAL consistency; `None`: it is deleted.
    fn read(&self, id: Uuid) -> impl Future<Output = Result<Option<Self::Row>, CqlError>> + Send;
    /// Undoes what a handler may have done elsewhere for a change that it did not get to make. The sweeper calls it for
    /// each intent that it finds, before it publishes the row.
    fn abandoned(&self, _intent: Intent) -> impl Future<Output = Result<(), CqlError>> + Send {
        std::future::ready(Ok(()))
    }
    /// The version in the row.
    fn version(row: &Self::Row) -> i64;
    /// Produces the snapshot (tombstones for `None`) with acks=all.
    fn produce(
        &self,
        id: Uuid,
        row: Option<&Self::Row>,
    ) -> impl Future<Output = Result<(), ProduceError>> + Send;
}

/// Publishes the row until what was published last is what the row says.
pub async fn publish_newest<P: Published>(rows: &P, id: Uuid) -> Result<(), PublishError> {
    let mut row = rows.read(id).await?;
    for _ in 0..MAX_ROUNDS {
        rows.produce(id, row.as_ref()).await?;
        let now = rows.read(id).await?;
        if now.as_ref().map(P::version) == row.as_ref().map(P::version) {
            return Ok(());
        }
        row = now;
    }
    Err(PublishError::Restless)
}

/// One publication that is owed.
#[derive(Debug, Clone, Copy)]
pub struct Intent {
    /// Also the id of the operation, for the aggregate's row.
    pub id: Uuid,
    /// Whose snapshot.
    pub aggregate_id: Uuid,
}

/// The table of intents of one service.
pub struct Intents {
    session: Arc<Session>,
    insert: PreparedStatement,
    delete: PreparedStatement,
    list: PreparedStatement,
}

fn bucket(intent_id: Uuid) -> i32 {
    let spread = intent_id.as_u128() % u128::from(BUCKETS.unsigned_abs());
    i32::try_from(spread).unwrap_or_default()
}

impl Intents {
    /// Those of the service's rows.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Self::in_table(session, "intents").await
    }

    /// Those of another kind, in a table of their own with the columns of [`TABLE`].
    pub async fn in_table(session: Arc<Session>, table: &str) -> Result<Self, CqlError> {
        let insert = format!(
            "INSERT INTO {table} (bucket, intent_id, aggregate_id, at) VALUES (?, ?, ?, ?)"
        );
        let delete = format!("DELETE FROM {table} WHERE bucket = ? AND intent_id = ?");
        let list =
            format!("SELECT intent_id, aggregate_id, at FROM {table} WHERE bucket = ? LIMIT 1000");
        Ok(Self {
            insert: cql::prepare(&session, &insert).await?,
            delete: cql::prepare(&session, &delete).await?,
            list: cql::prepare(&session, &list).await?,
            session,
        })
    }

    /// Writes down that the aggregate's snapshot will have to be published.
    pub async fn begin(&self, aggregate_id: Uuid) -> Result<Intent, CqlError> {
        let id = new_id();
        let at = scylla::value::CqlTimestamp(Timestamp::now().as_micros() / 1000);
        self.session
            .execute_unpaged(&self.insert, (bucket(id), id, aggregate_id, at))
            .await?;
        Ok(Intent { id, aggregate_id })
    }

    /// Forgets an intent whose publication has happened or whose change was refused.
    pub async fn done(&self, intent: Intent) -> Result<(), CqlError> {
        self.session
            .execute_unpaged(&self.delete, (bucket(intent.id), intent.id))
            .await?;
        Ok(())
    }

    /// Publishes and forgets; a failure leaves the intent to the sweeper.
    pub async fn settle<P: Published>(&self, rows: &P, intent: Intent) -> Result<(), PublishError> {
        publish_newest(rows, intent.aggregate_id).await?;
        self.done(intent).await?;
        Ok(())
    }

    /// Publishes what intents older than `age` owe; returns how many it settled.
    pub async fn sweep<P: Published>(
        &self,
        rows: &P,
        age: Duration,
    ) -> Result<usize, PublishError> {
        let mut settled = 0;
        let mut failure = None;
        for bucket in 0..BUCKETS {
            for intent in self.owed(bucket, age).await? {
                let swept = async {
                    rows.abandoned(intent).await?;
                    self.settle(rows, intent).await
                };
                // One that cannot be settled must not keep the others waiting.
                match swept.await {
                    Ok(()) => settled += 1,
                    Err(error) => {
                        tracing::warn!(%error, aggregate_id = %intent.aggregate_id, "still owed");
                        failure.get_or_insert(error);
                    }
                }
            }
        }
        failure.map_or(Ok(settled), Err)
    }

    /// All intents older than `age`, for what is owed in another way than [`Published`] says.
    pub async fn all_owed(&self, age: Duration) -> Result<Vec<Intent>, CqlError> {
        let mut owed = Vec::new();
        for bucket in 0..BUCKETS {
            owed.extend(self.owed(bucket, age).await?);
        }
        Ok(owed)
    }

    async fn owed(&self, bucket: i32, age: Duration) -> Result<Vec<Intent>, CqlError> {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let before = (Timestamp::now().as_micros() / 1000).saturating_sub(age_ms);
        type Row = (Uuid, Uuid, scylla::value::CqlTimestamp);
        let mut rows = cql::rows::<Row>(&self.session, &self.list, (bucket,)).await?;
        rows.retain(|(_, _, at)| at.0 <= before);
        let intent = |(id, aggregate_id, _)| Intent { id, aggregate_id };
        Ok(rows.into_iter().map(intent).collect())
    }

    /// Sweeps until `stop`.
    pub async fn run_sweeper<P: Published>(&self, rows: &P, stop: CancellationToken) {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            match self.sweep(rows, SWEEP_AFTER).await {
                Ok(0) => {}
                Ok(settled) => tracing::info!(settled, "published what was owed"),
                Err(error) => tracing::warn!(error = %error, "sweep waits"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
