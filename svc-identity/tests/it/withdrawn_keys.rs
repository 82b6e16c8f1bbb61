//! A signing key that has leaked: the command that takes it away, on keys that sign nothing of the other tests.

use std::env;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use e2e::Stack;
use platform::clock::Timestamp;
use platform::ids::new_id;
use platform::vault::Vault;
use scylla::client::session::Session;
use svc_identity::signing_keys::open;
use svc_identity::store::signing_keys::SigningKeys;

use crate::attacks::key_encryption_key;
use crate::crashes::database;

/// Where the tables are made that the command needs.
const MIGRATIONS: [&str; 4] = [
    include_str!("../../migrations/0001_identity.cql"),
    include_str!("../../migrations/0005_audit.cql"),
    include_str!("../../migrations/0007_audit_outcomes.cql"),
    include_str!("../../migrations/0010_what_is_held.cql"),
];
const TABLES: [&str; 3] = ["signing_keys", "audit_entries", "audit_by_user"];

/// A keyspace with the keys of nobody.
struct Case {
    keyspace: String,
    session: Arc<Session>,
    store: SigningKeys,
    vault: Vault,
}

impl Case {
    async fn new(stack: &Stack) -> anyhow::Result<Self> {
        let keyspace = format!("keys_{}", new_id().simple());
        let session = Arc::new(database(stack).await?);
        let (datacenter, factor) = (
            env::var("CQL_DATACENTER")?,
            env::var("CQL_REPLICATION_FACTOR")?,
        );
        let make = format!(
            "CREATE KEYSPACE {keyspace} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', '{datacenter}': {factor}}}"
        );
        session.query_unpaged(make, ()).await?;
        session.use_keyspace(&keyspace, false).await?;
        let is_of = |statement: &str, table: &str| {
            statement.contains(&format!("CREATE TABLE IF NOT EXISTS {table} ("))
                || statement.contains(&format!("ALTER TABLE {table} "))
        };
        for statement in MIGRATIONS.iter().flat_map(|text| text.split(";\n")) {
            if TABLES.iter().any(|table| is_of(statement, table)) {
                session.query_unpaged(statement, ()).await?;
            }
        }
        Ok(Self {
            keyspace,
            store: SigningKeys::new(Arc::clone(&session)).await?,
            session,
            vault: Vault::new(&key_encryption_key()?)?,
        })
    }

    /// `rotate-keys`, as somebody at the machine would; whether it succeeds.
    fn rotate(&self, options: &[&str]) -> anyhow::Result<bool> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_svc-identity"));
        let command = command.arg("rotate-keys").args(options);
        let ended = command.env("CQL_KEYSPACE", &self.keyspace).output()?;
        Ok(ended.status.success())
    }

    /// The key that an instance signs with that reads them now, and those that it publishes.
    async fn keys(&self) -> anyhow::Result<(String, Vec<String>)> {
        let ring = open(&self.store, &self.vault).await?;
        let now = Timestamp::now();
        let published = ring.published(now).map(|key| key.key_id.clone());
        Ok((ring.signer(now).key_id.clone(), published.collect()))
    }

    /// Actions and outcomes in the audit trail, sorted.
    async fn trail(&self) -> anyhow::Result<Vec<(String, String)>> {
        let entries = "SELECT action, outcome FROM audit_entries";
        let entries = self.session.query_unpaged(entries, ()).await?;
        let entries = entries.into_rows_result()?;
        let entries = entries.rows::<(String, Option<String>)>()?;
        let mut entries: Vec<(String, String)> = entries
            .map(|entry| entry.map(|(action, outcome)| (action, outcome.unwrap_or_default())))
            .collect::<Result<_, _>>()?;
        entries.sort();
        Ok(entries)
    }
}

#[tokio::test]
async fn a_leaked_key_is_gone_at_once_and_the_next_one_signs() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let case = Case::new(&stack).await?;
    // Where there is none yet there is nothing to take away, and none is made that no instance made.
    ensure!(!case.rotate(&["--at-once"])?, "there was a key");
    let (leaked, published) = case.keys().await?;
    assert_eq!(published, std::slice::from_ref(&leaked));
    // Whoever is late takes away what he saw, not what has its place by now.
    let mut seen = case.store.list().await?.pop().context("the key")?;
    seen.key_id = "another".to_owned();
    case.store.delete(&seen).await?;
    assert_eq!(case.keys().await?.0, leaked);

    ensure!(case.rotate(&["--at-once"])?, "it fails");
    let (second, published) = case.keys().await?;
    assert_ne!(second, leaked);
    assert_eq!(published, std::slice::from_ref(&second));

    // One that is on its way may have leaked as well.
    ensure!(case.rotate(&[])?, "the next key");
    let (signs, published) = case.keys().await?;
    assert_eq!((&signs, published.len()), (&second, 2));
    ensure!(!case.rotate(&[])?, "two keys on their way");
    ensure!(case.rotate(&["--at-once"])?, "it fails");
    let (third, left) = case.keys().await?;
    ensure!(!published.contains(&third), "{third} is not new");
    assert_eq!(left, [third]);

    let entry = |action: &str, outcome: &str| (action.to_owned(), outcome.to_owned());
    let trail = [
        entry("keys-rotated", "done"),
        entry("keys-rotated", "refused"),
        entry("keys-withdrawn", "done"),
        entry("keys-withdrawn", "done"),
        entry("keys-withdrawn", "refused"),
    ];
    assert_eq!(case.trail().await?, trail);
    let away = format!("DROP KEYSPACE {}", case.keyspace);
    case.session.query_unpaged(away, ()).await.context("tidy")?;
    Ok(())
}
