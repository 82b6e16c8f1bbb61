//! A partition of support_cases and what it means.

use platform::cql::CqlError;
use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::from_cql;
use crate::domain::case::{Author, Case, Head, Message, Status, Subject, Text};

/// Status of a case whose customer was erased.
pub(super) const ERASED: &str = "erased";

/// A row: the static columns, the same in each row of the case, and a message. A case that was erased has one row without
/// a message.
#[derive(DeserializeRow)]
pub(super) struct Row {
    case_id: Uuid,
    version: i64,
    user_id: Option<Uuid>,
    status: String,
    subject: Option<String>,
    order_id: Option<Uuid>,
    opened_at: Option<CqlTimestamp>,
    changed_at: Option<CqlTimestamp>,
    number: Option<i32>,
    author: Option<String>,
    at: Option<CqlTimestamp>,
    message: Option<String>,
}

/// The case without its messages; `None` for one that was erased.
pub(super) fn head(row: &Row) -> Result<Option<Head>, CqlError> {
    if row.status == ERASED {
        return Ok(None);
    }
    let id = row.case_id;
    let wrong = |column: &str| CqlError::Answer(format!("case {id}: {column} cannot be read"));
    let moment = |at: Option<CqlTimestamp>, column| at.map(from_cql).ok_or_else(|| wrong(column));
    let subject = row.subject.as_deref().map(Subject::parse);
    Ok(Some(Head {
        id,
        user_id: row.user_id.ok_or_else(|| wrong("user_id"))?,
        version: row.version,
        subject: subject
            .and_then(Result::ok)
            .ok_or_else(|| wrong("subject"))?,
        status: Status::parse(&row.status).map_err(|_| wrong("status"))?,
        order_id: row.order_id,
        opened_at: moment(row.opened_at, "opened_at")?,
        changed_at: moment(row.changed_at, "changed_at")?,
    }))
}

/// The case with its messages; `None` where there is none, or one that was erased.
pub(super) fn case(rows: &[Row]) -> Result<Option<Case>, CqlError> {
    let Some(head) = rows.first().map_or(Ok(None), head)? else {
        return Ok(None);
    };
    let messages = rows.iter().filter(|row| row.number.is_some()).map(|row| {
        message(row).ok_or_else(|| {
            let (id, number) = (row.case_id, row.number.unwrap_or_default());
            CqlError::Answer(format!("case {id}: message {number} cannot be read"))
        })
    });
    let messages = messages.collect::<Result<_, _>>()?;
    Ok(Some(Case { head, messages }))
}

fn message(row: &Row) -> Option<Message> {
    Some(Message {
        author: Author::parse(row.author.as_deref()?)?,
        at: from_cql(row.at?),
        text: Text::parse(row.message.as_deref()?).ok()?,
    })
}
