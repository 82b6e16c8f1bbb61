//! CQL as both ScyllaDB and Cassandra speak it: sessions, migrations, lightweight transactions.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{ExecutionError, NewSessionError, PrepareError};
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row};
use secrecy::ExposeSecret as _;

use crate::config::CqlConfig;
use crate::telemetry::Metrics;

/// A statement that has no answer within this time has an unknown end.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What can go wrong with the database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CqlError {
    /// No node could be reached.
    #[error("connect to the CQL database")]
    Connect(#[source] Box<NewSessionError>),
    /// A statement could not be prepared: the code and the tables do not fit.
    #[error("prepare {statement}")]
    Prepare {
        /// CQL text.
        statement: String,
        /// Why.
        #[source]
        source: Box<PrepareError>,
    },
    /// A statement failed or timed out.
    #[error("execute a CQL statement")]
    Execute(#[source] Box<ExecutionError>),
    /// An answer has another shape than the code expects.
    #[error("read a CQL answer: {0}")]
    Answer(String),
    /// An applied migration was edited afterwards.
    #[error("migration {0} was changed after it was applied: add a new one instead")]
    MigrationChanged(String),
}

// The driver's errors are boxed: they are so large that every `Result` would be, too.

impl From<NewSessionError> for CqlError {
    fn from(error: NewSessionError) -> Self {
        CqlError::Connect(Box::new(error))
    }
}

impl From<ExecutionError> for CqlError {
    fn from(error: ExecutionError) -> Self {
        CqlError::Execute(Box::new(error))
    }
}

impl CqlError {
    /// An answer that could not be read.
    pub fn answer(error: impl std::fmt::Display) -> Self {
        CqlError::Answer(error.to_string())
    }
}

/// A session without a keyspace.
fn session_builder(config: &CqlConfig) -> SessionBuilder {
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(REQUEST_TIMEOUT))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .prefer_datacenter(config.datacenter.clone())
        .default_execution_profile_handle(profile.into_handle());
    if let Some(login) = &config.credentials {
        builder = builder.user(&login.user, login.password.expose_secret());
    }
    builder
}

/// Connects to the service's keyspace.
pub async fn connect(config: &CqlConfig) -> Result<Arc<Session>, CqlError> {
    let builder = session_builder(config);
    let session = builder
        .use_keyspace(&config.keyspace, false)
        .build()
        .await?;
    Ok(Arc::new(session))
}

/// Has `cql_requests_total` say how often the session asked the database.
pub fn count_requests(session: &Arc<Session>, metrics: &Metrics) {
    let session = Arc::clone(session);
    metrics.before_each_look(move || {
        let counted = session.get_metrics();
        let requests = counted.get_requests_unpaged_num()
            + counted.get_requests_manually_paged_num()
            + counted.get_requests_automatically_paged_num();
        metrics::counter!("cql_requests_total").absolute(requests);
    });
}

/// One file of `migrations/`.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// File name without its ending.
    pub name: &'static str,
    /// CQL statements, each closed by a semicolon at the end of a line.
    pub text: &'static str,
}

/// Creates the keyspace and applies what was not applied yet, in the order given.
///
/// One migrator at a time: DDL of two at once can disagree in both databases.
pub async fn migrate(config: &CqlConfig, migrations: &[Migration]) -> Result<(), CqlError> {
    let session = session_builder(config).build().await?;
    let (keyspace, factor, datacenter) = (
        &config.keyspace,
        config.replication_factor,
        &config.datacenter,
    );
    session
        .query_unpaged(
            format!(
                "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
                 {{'class': 'NetworkTopologyStrategy', '{datacenter}': {factor}}}"
            ),
            (),
        )
        .await?;
    session
        .use_keyspace(keyspace, false)
        .await
        .map_err(CqlError::answer)?;
    session
        .query_unpaged(
            "CREATE TABLE IF NOT EXISTS schema_migrations \
             (name text PRIMARY KEY, text text, applied_at timestamp)",
            (),
        )
        .await?;
    for migration in migrations {
        let known = session
            .query_unpaged(
                "SELECT text FROM schema_migrations WHERE name = ?",
                (migration.name,),
            )
            .await?
            .into_rows_result()
            .map_err(CqlError::answer)?
            .maybe_first_row::<(String,)>()
            .map_err(CqlError::answer)?;
        match known {
            Some((text,)) if text == migration.text => continue,
            Some(_) => return Err(CqlError::MigrationChanged(migration.name.into())),
            None => {}
        }
        for statement in statements(migration.text) {
            if let Some((table, column, is_there_after)) = changed_column(&statement)
                && has_column(&session, keyspace, table, column).await? == is_there_after
            {
                continue; // by a migration that broke off
            }
            session.query_unpaged(statement, ()).await?;
        }
        session
            .query_unpaged(
                "INSERT INTO schema_migrations (name, text, applied_at) \
                 VALUES (?, ?, toTimestamp(now()))",
                (migration.name, migration.text),
            )
            .await?;
        tracing::info!(keyspace, migration = migration.name, "migration applied");
    }
    Ok(())
}

/// The statements of a migration, without comments.
fn statements(text: &str) -> impl Iterator<Item = String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect::<Vec<_>>()
        .join("\n");
    code.split(";\n")
        .map(|statement| statement.trim().trim_end_matches(';').to_owned())
        .filter(|statement| !statement.is_empty())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Table and column of `ALTER TABLE table ADD column type` or `DROP column`, and whether the column is there after it.
/// There is neither `IF NOT EXISTS` nor `IF EXISTS` for it that both databases know.
fn changed_column(statement: &str) -> Option<(&str, &str, bool)> {
    let words: Vec<&str> = statement.split_whitespace().collect();
    match words[..] {
        ["ALTER", "TABLE", table, "ADD", column, _, ..] => Some((table, column, true)),
        ["ALTER", "TABLE", table, "DROP", column] => Some((table, column, false)),
        _ => None,
    }
}

async fn has_column(
    session: &Session,
    keyspace: &str,
    table: &str,
    column: &str,
) -> Result<bool, CqlError> {
    let found = session
        .query_unpaged(
            "SELECT column_name FROM system_schema.columns \
             WHERE keyspace_name = ? AND table_name = ? AND column_name = ?",
            (keyspace, table, column),
        )
        .await?
        .into_rows_result()
        .map_err(CqlError::answer)?;
    Ok(found.rows_num() > 0)
}

/// Prepares a statement that may be repeated without harm (reads, plain upserts).
pub async fn prepare(session: &Session, statement: &str) -> Result<PreparedStatement, CqlError> {
    let mut prepared = prepare_lwt(session, statement).await?;
    prepared.set_is_idempotent(true);
    Ok(prepared)
}

/// Prepares a statement that the driver must not repeat by itself: a lightweight transaction
/// whose first try was applied would answer the second one "not applied".
pub async fn prepare_lwt(
    session: &Session,
    statement: &str,
) -> Result<PreparedStatement, CqlError> {
    session
        .prepare(statement)
        .await
        .map_err(|source| CqlError::Prepare {
            statement: statement.to_owned(),
            source: Box::new(source),
        })
}

/// Prepares a read that sees every lightweight transaction that was accepted before it.
pub async fn prepare_serial_read(
    session: &Session,
    statement: &str,
) -> Result<PreparedStatement, CqlError> {
    let mut prepared = prepare(session, statement).await?;
    prepared.set_consistency(Consistency::LocalSerial);
    Ok(prepared)
}

/// All rows that a statement answers; they are in memory at once, so it needs a LIMIT, or a partition that is small.
pub async fn rows<R>(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Vec<R>, CqlError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let answer = session.execute_unpaged(statement, values).await?;
    let rows = answer.into_rows_result().map_err(CqlError::answer)?;
    let rows = rows.rows::<R>().map_err(CqlError::answer)?;
    rows.map(|row| row.map_err(CqlError::answer)).collect()
}

/// The first row that a statement answers, if it answers any.
pub async fn first_row<R>(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Option<R>, CqlError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let answer = session.execute_unpaged(statement, values).await?;
    let rows = answer.into_rows_result().map_err(CqlError::answer)?;
    rows.maybe_first_row::<R>().map_err(CqlError::answer)
}

/// Whether a lightweight transaction was applied.
///
/// Reads column 0 of the first row and nothing else: ScyllaDB returns all columns always,
/// Cassandra returns `[applied]` alone when it is true.
pub fn applied(answer: QueryResult) -> Result<bool, CqlError> {
    let rows = answer.into_rows_result().map_err(CqlError::answer)?;
    let row: Row = rows.first_row().map_err(CqlError::answer)?;
    match row.columns.first() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        other => Err(CqlError::Answer(format!(
            "[applied] expected, found {other:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_comes_or_goes_is_found_by_its_name() {
        for (text, expected) in [
            (
                "ALTER TABLE users ADD epoch int",
                Some(("users", "epoch", true)),
            ),
            (
                "ALTER TABLE users ADD names set<text> static",
                Some(("users", "names", true)),
            ),
            (
                "ALTER TABLE users DROP epoch",
                Some(("users", "epoch", false)),
            ),
            ("CREATE TABLE users (epoch int PRIMARY KEY)", None),
            ("DROP TABLE IF EXISTS users", None),
            ("ALTER TABLE users WITH comment = 'x'", None),
        ] {
            assert_eq!(changed_column(text), expected, "{text}");
        }
    }

    #[test]
    fn a_migration_splits_into_statements_without_comments() {
        let text = "-- users; by id\nCREATE TABLE a (\n  b int PRIMARY KEY\n);\n\n-- end\nCREATE TABLE c (d int PRIMARY KEY);\n";
        let found: Vec<_> = statements(text).collect();
        assert_eq!(
            found,
            [
                "CREATE TABLE a (\n  b int PRIMARY KEY\n)",
                "CREATE TABLE c (d int PRIMARY KEY)"
            ]
        );
    }
}
