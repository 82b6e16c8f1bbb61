//! Support cases. One partition is one case: head and messages change together, under one condition.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::case_row::{ERASED, Row, case, head};
use super::{LWT_ATTEMPTS, to_cql};
use crate::domain::case::{Case, Head, Message};

/// Cases of one page that are read at once.
const READS_AT_ONCE: usize = 16;

/// The table of cases.
pub struct Cases {
    session: Arc<Session>,
    find: PreparedStatement,
    find_newest: PreparedStatement,
    head: PreparedStatement,
    stamp: PreparedStatement,
    insert: PreparedStatement,
    insert_message: PreparedStatement,
    update: PreparedStatement,
    erase: PreparedStatement,
    erase_absent: PreparedStatement,
    delete_message: PreparedStatement,
}

/// Values of the statements of a batch, which are of different types.
type Values<'a> = Vec<Box<dyn SerializeRow + Send + Sync + 'a>>;

/// Statements that are all applied, or none.
struct Change<'a> {
    batch: Batch,
    values: Values<'a>,
}

impl<'a> Change<'a> {
    fn new() -> Self {
        Self {
            batch: Batch::new(BatchType::Logged),
            values: Vec::new(),
        }
    }

    fn add(&mut self, statement: &PreparedStatement, values: impl SerializeRow + Send + Sync + 'a) {
        self.batch.append_statement(statement.clone());
        self.values.push(Box::new(values));
    }
}

impl Cases {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const FIND: &str = "SELECT case_id, version, user_id, status, subject, order_id, opened_at, \
             changed_at, number, author, at, message FROM support_cases WHERE case_id = ?";
        const STAMP: &str =
            "SELECT version, operation_id FROM support_cases WHERE case_id = ? LIMIT 1";
        const INSERT: &str = "INSERT INTO support_cases (case_id, version, operation_id, user_id, \
             status, subject, order_id, opened_at, changed_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
        const INSERT_MESSAGE: &str = "INSERT INTO support_cases (case_id, number, author, at, message) \
             VALUES (?, ?, ?, ?, ?)";
        const UPDATE: &str = "UPDATE support_cases SET version = ?, operation_id = ?, status = ?, \
             changed_at = ? WHERE case_id = ? IF version = ?";
        const ERASE: &str = "UPDATE support_cases SET version = ?, operation_id = ?, status = ?, \
             user_id = null, subject = null, order_id = null, opened_at = null, changed_at = null \
             WHERE case_id = ? IF version = ?";
        const ERASE_ABSENT: &str = "INSERT INTO support_cases (case_id, version, operation_id, status) \
             VALUES (?, ?, ?, ?) IF NOT EXISTS";
        const DELETE_MESSAGE: &str = "DELETE FROM support_cases WHERE case_id = ? AND number = ?";
        Ok(Self {
            find: cql::prepare(&session, FIND).await?,
            find_newest: cql::prepare_serial_read(&session, FIND).await?,
            // Every case has a first message, and a row is all it takes.
            head: cql::prepare(&session, &format!("{FIND} LIMIT 1")).await?,
            stamp: cql::prepare_serial_read(&session, STAMP).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            insert_message: cql::prepare_lwt(&session, INSERT_MESSAGE).await?,
            update: cql::prepare_lwt(&session, UPDATE).await?,
            erase: cql::prepare_lwt(&session, ERASE).await?,
            erase_absent: cql::prepare_lwt(&session, ERASE_ABSENT).await?,
            delete_message: cql::prepare_lwt(&session, DELETE_MESSAGE).await?,
            session,
        })
    }

    /// The case, if there is one.
    pub async fn find(&self, id: Uuid) -> Result<Option<Case>, CqlError> {
        case(&self.rows(&self.find, id).await?)
    }

    /// The case after every change that was accepted before this call.
    pub async fn find_newest(&self, id: Uuid) -> Result<Option<Case>, CqlError> {
        case(&self.rows(&self.find_newest, id).await?)
    }

    /// Cases without their messages, in the order asked for; those that are not there are left out.
    pub async fn heads(&self, ids: Vec<Uuid>) -> Result<Vec<Head>, CqlError> {
        let found: Vec<Option<Head>> = stream::iter(ids)
            .map(async |id| {
                self.rows(&self.head, id)
                    .await?
                    .first()
                    .map_or(Ok(None), head)
            })
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Makes the case unless the id has one; whether it did. On an error it may or may not have.
    pub async fn insert(&self, case: &Case, operation_id: Uuid) -> Result<bool, CqlError> {
        let head = &case.head;
        let mut change = Change::new();
        let values = (
            head.id,
            head.version,
            operation_id,
            head.user_id,
            head.status.as_str(),
            head.subject.as_str(),
            head.order_id,
            to_cql(head.opened_at),
            to_cql(head.changed_at),
        );
        change.add(&self.insert, values);
        self.add_messages(&mut change, case, 0);
        self.apply(change, head.id, head.version, operation_id)
            .await
    }

    /// Replaces `before` by `after`, which is one version on; whether it did: not, when it is at another version by now.
    /// On an error it may or may not have.
    pub async fn replace(
        &self,
        before: &Case,
        after: &Case,
        operation_id: Uuid,
    ) -> Result<bool, CqlError> {
        let head = &after.head;
        let mut change = Change::new();
        let values = (
            head.version,
            operation_id,
            head.status.as_str(),
            to_cql(head.changed_at),
            head.id,
            before.head.version,
        );
        change.add(&self.update, values);
        self.add_messages(&mut change, after, before.messages.len());
        self.apply(change, head.id, head.version, operation_id)
            .await
    }

    /// Takes all but the id out of the case; whether it did, as for a replacement.
    pub async fn erase(&self, case: &Case, operation_id: Uuid) -> Result<bool, CqlError> {
        let (id, version) = (case.head.id, case.head.version + 1);
        let mut change = Change::new();
        let values = (version, operation_id, ERASED, id, case.head.version);
        change.add(&self.erase, values);
        for (number, _) in numbered(case) {
            change.add(&self.delete_message, (id, number));
        }
        self.apply(change, id, version, operation_id).await
    }

    /// Takes the id, so that no case can be made under it; whether it did: not, when there is one.
    pub async fn take(&self, id: Uuid, operation_id: Uuid) -> Result<bool, CqlError> {
        const FIRST: i64 = 1;
        let mut change = Change::new();
        change.add(&self.erase_absent, (id, FIRST, operation_id, ERASED));
        self.apply(change, id, FIRST, operation_id).await
    }

    fn add_messages<'a>(&self, change: &mut Change<'a>, case: &'a Case, known: usize) {
        for (number, message) in numbered(case).skip(known) {
            let author = message.author.as_str();
            let (at, text) = (to_cql(message.at), message.text.as_str());
            let values = (case.head.id, number, author, at, text);
            change.add(&self.insert_message, values);
        }
    }

    /// Makes `version` of the case out of the one before; whether it did.
    async fn apply(
        &self,
        change: Change<'_>,
        id: Uuid,
        version: i64,
        operation_id: Uuid,
    ) -> Result<bool, CqlError> {
        let Change { batch, values } = change;
        let mut failure = None;
        for _ in 0..LWT_ATTEMPTS {
            let answer = self.session.batch(&batch, &values).await;
            match answer.map_err(CqlError::from).and_then(cql::applied) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            }
            match self.stamp(id).await? {
                (_, made_by) if made_by == operation_id => return Ok(true),
                (now, _) if now == version - 1 => {}
                (now, _) if now <= version => return Ok(false),
                // Two changes or more happened since. Ours may have been the first of them, unless it was refused each time.
                _ => return failure.map_or(Ok(false), Err),
            }
        }
        let neither = || CqlError::answer("a change of a case that is neither made nor refused");
        Err(failure.unwrap_or_else(neither))
    }

    /// Version and last operation of the case; version 0 of one that was never there.
    async fn stamp(&self, id: Uuid) -> Result<(i64, Uuid), CqlError> {
        let row = cql::first_row(&self.session, &self.stamp, (id,)).await?;
        Ok(row.unwrap_or_default())
    }

    async fn rows(&self, statement: &PreparedStatement, id: Uuid) -> Result<Vec<Row>, CqlError> {
        cql::rows(&self.session, statement, (id,)).await
    }
}

/// The messages with their numbers, from 1.
fn numbered(case: &Case) -> impl Iterator<Item = (i32, &Message)> {
    (1..).zip(&case.messages)
}
