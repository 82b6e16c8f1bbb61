//! Where to look for cases: by whom they are, and by their status.
//!
//! A place says that there may be a case; the case itself says whether there is, and in which status. Readers go by that,
//! so that what a crash left here is looked past.

use std::sync::Arc;

use futures::future::try_join_all;
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{from_cql, to_cql};
use crate::domain::case::{Head, Place, Status};

/// Before this nobody opened a case: 2026-01-01.
const FIRST_SECS: i64 = 1_767_225_600;
/// Periods that one page looks at, at most, a year of them: in most of them nothing may have happened.
const MAX_PERIODS: usize = 12;

/// The tables of places.
pub struct CasePlaces {
    session: Arc<Session>,
    insert_of_user: PreparedStatement,
    delete_of_user: PreparedStatement,
    of_user: PreparedStatement,
    insert_in_status: PreparedStatement,
    delete_in_status: PreparedStatement,
    in_status: PreparedStatement,
}

/// Places, newest first, and where the next ones begin if there are any.
pub type Found = (Vec<Place>, Option<Place>);

impl CasePlaces {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const INSERT_OF_USER: &str =
            "INSERT INTO cases_by_user (user_id, opened_at, case_id) VALUES (?, ?, ?)";
        const DELETE_OF_USER: &str =
            "DELETE FROM cases_by_user WHERE user_id = ? AND opened_at = ? AND case_id = ?";
        const OF_USER: &str = "SELECT opened_at, case_id FROM cases_by_user \
             WHERE user_id = ? AND (opened_at, case_id) < (?, ?) LIMIT ?";
        const INSERT_IN_STATUS: &str = "INSERT INTO cases_by_status (status, period, opened_at, \
             case_id) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
        const DELETE_IN_STATUS: &str = "DELETE FROM cases_by_status USING TIMESTAMP ? \
             WHERE status = ? AND period = ? AND opened_at = ? AND case_id = ?";
        const IN_STATUS: &str = "SELECT opened_at, case_id FROM cases_by_status \
             WHERE status = ? AND period = ? AND (opened_at, case_id) < (?, ?) LIMIT ?";
        Ok(Self {
            insert_of_user: cql::prepare(&session, INSERT_OF_USER).await?,
            delete_of_user: cql::prepare(&session, DELETE_OF_USER).await?,
            of_user: cql::prepare(&session, OF_USER).await?,
            insert_in_status: cql::prepare(&session, INSERT_IN_STATUS).await?,
            delete_in_status: cql::prepare(&session, DELETE_IN_STATUS).await?,
            in_status: cql::prepare(&session, IN_STATUS).await?,
            session,
        })
    }

    /// Says that the customer of `head` has it.
    pub async fn add_of_user(&self, head: &Head) -> Result<(), CqlError> {
        let values = (head.user_id, to_cql(head.opened_at), head.id);
        let insert = &self.insert_of_user;
        self.session.execute_unpaged(insert, values).await?;
        Ok(())
    }

    /// No longer says that `user_id` has the case at `place`.
    pub async fn remove_of_user(&self, user_id: Uuid, place: Place) -> Result<(), CqlError> {
        let values = (user_id, to_cql(place.opened_at), place.id);
        let delete = &self.delete_of_user;
        self.session.execute_unpaged(delete, values).await?;
        Ok(())
    }

    /// Says that there is a case in the status of `head`.
    pub async fn add_in_status(&self, head: &Head) -> Result<(), CqlError> {
        let values = (
            head.status.as_str(),
            head.place().period(),
            to_cql(head.opened_at),
            head.id,
            head.version,
        );
        let insert = &self.insert_in_status;
        self.session.execute_unpaged(insert, values).await?;
        Ok(())
    }

    /// Says, as of `version`, that the case at `place` is not in `status`.
    pub async fn remove_in_status(
        &self,
        place: Place,
        status: Status,
        version: i64,
    ) -> Result<(), CqlError> {
        let at = to_cql(place.opened_at);
        let values = (version, status.as_str(), place.period(), at, place.id);
        let delete = &self.delete_in_status;
        self.session.execute_unpaged(delete, values).await?;
        Ok(())
    }

    /// Up to `limit` cases of a user before `before`.
    pub async fn of_user(
        &self,
        user_id: Uuid,
        before: Place,
        limit: usize,
    ) -> Result<Found, CqlError> {
        let values = (user_id, to_cql(before.opened_at), before.id, rows(limit));
        let found = self.read(&self.of_user, values).await?;
        let next = found.last().copied().filter(|_| found.len() == limit);
        Ok((found, next))
    }

    /// Up to `limit` cases in one of `statuses` before `before`. There may be fewer, or none, and still more to come.
    pub async fn in_statuses(
        &self,
        statuses: &[Status],
        mut before: Place,
        limit: usize,
    ) -> Result<Found, CqlError> {
        let first = Place {
            opened_at: Timestamp::from_seconds(FIRST_SECS),
            id: Uuid::nil(),
        };
        let mut found = Vec::new();
        for _ in 0..MAX_PERIODS {
            found.extend(
                self.of_period(statuses, before, limit - found.len())
                    .await?,
            );
            if found.len() == limit {
                let last = found.last().copied();
                return Ok((found, last));
            }
            before = Place::end_of(before.period());
            if before <= first {
                return Ok((found, None));
            }
            // The last moment of the period before, which is looked at next.
            before = Place {
                opened_at: Timestamp::from_millis(before.opened_at.as_millis() - 1),
                id: Uuid::max(),
            };
        }
        Ok((found, Some(before)))
    }

    async fn of_period(
        &self,
        statuses: &[Status],
        before: Place,
        limit: usize,
    ) -> Result<Vec<Place>, CqlError> {
        let of_statuses = statuses.iter().map(|status| {
            let (period, at) = (before.period(), to_cql(before.opened_at));
            let values = (status.as_str(), period, at, before.id, rows(limit));
            self.read(&self.in_status, values)
        });
        let mut found: Vec<Place> = try_join_all(of_statuses)
            .await?
            .into_iter()
            .flatten()
            .collect();
        found.sort_unstable_by_key(|place| std::cmp::Reverse(*place));
        // One that changes its status in this moment is in two of them.
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<Place>, CqlError> {
        let rows = cql::rows(&self.session, statement, values)
            .await?
            .into_iter();
        let place = |(at, id): (CqlTimestamp, Uuid)| Place {
            opened_at: from_cql(at),
            id,
        };
        Ok(rows.map(place).collect())
    }
}

fn rows(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}
