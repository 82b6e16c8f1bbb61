//! What was asked and what was answered, one JSON document a line, for a judge who was not there.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// POST /v1/orders
    Place,
    /// POST /v1/orders/{id}/payment
    Pay,
    /// POST /v1/orders/{id}/cancel
    Cancel,
    /// POST /v1/orders/{id}/refund
    Refund,
    /// POST /v1/tickets/{id}/attendance with `cancelled`; the answer bears the ticket's id
    Release,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// About to be sent.
    Invoke,
    /// It had its effect: 2xx.
    Ok,
    /// It was refused: 4xx.
    Fail,
    /// Nobody knows: no answer, 5xx, or 409 `request-in-progress`.
    Info,
}

impl Phase {
    /// Of an answer.
    pub fn of(status: u16, body: &Value) -> Self {
        match status {
            200..=299 => Self::Ok,
            409 if body["code"] == "request-in-progress" => Self::Info,
            400..=499 => Self::Fail,
            _ => Self::Info,
        }
    }
}

/// One line. Each request has two, `invoke` and one of the others, with the same `op_id`; a repeat under the same key
/// is a request of its own. A request without a second line was cut off with the driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Number of the shopper. An impatient one has two requests at once.
    pub process: u64,
    /// The request.
    pub op_id: u64,
    /// Which call.
    pub kind: Kind,
    /// Where it is.
    pub phase: Phase,
    /// Time since the sale began, in ns; it never runs backwards, from line to line either.
    pub t_mono_ns: u64,
    /// Idempotency-Key.
    pub key: Option<String>,
    /// Who asks.
    pub user_id: Uuid,
    /// The order that the call is about; null when it makes one.
    pub order_id: Option<Uuid>,
    /// The body that was sent; null for calls without one.
    pub request: Value,
    /// Status of the answer; null without one.
    pub status: Option<u16>,
    /// Body of the answer; null without one.
    pub body: Value,
}

/// A history that is being written.
pub struct History {
    path: PathBuf,
    began: Instant,
    out: Mutex<Out>,
}

struct Out {
    file: BufWriter<File>,
    next_op: u64,
    /// Of the first line that could not be written: a history with holes is none.
    failure: Option<std::io::Error>,
}

impl History {
    /// Begins a file, in place of one that was there.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::create(path).with_context(|| format!("write {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            began: Instant::now(),
            out: Mutex::new(Out {
                file: BufWriter::new(file),
                next_op: 1,
                failure: None,
            }),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes that `entry` is going to be sent, and gives it its number.
    pub fn invoke(&self, entry: &mut Entry) {
        self.write(entry, true);
    }

    /// Writes what became of it.
    pub fn complete(&self, entry: &mut Entry) {
        self.write(entry, false);
    }

    fn write(&self, entry: &mut Entry, is_new: bool) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if is_new {
            entry.op_id = out.next_op;
            out.next_op += 1;
        }
        entry.t_mono_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let written = serde_json::to_writer(&mut out.file, entry)
            .map_err(std::io::Error::from)
            .and_then(|()| out.file.write_all(b"\n"));
        if let Err(error) = written
            && out.failure.is_none()
        {
            out.failure = Some(error);
        }
    }

    /// Brings everything into the file; an error is also that of an earlier line. How many requests there are.
    pub fn flush(&self) -> anyhow::Result<u64> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = out.file.flush();
        let failed = out.failure.take().map_or(flushed, Err);
        failed.with_context(|| format!("write {}", self.path.display()))?;
        Ok(out.next_op - 1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_have_their_phase() {
        let phase = |status, code: &str| Phase::of(status, &json!({"code": code}));
        assert_eq!(phase(201, ""), Phase::Ok);
        assert_eq!(phase(409, "sold-out"), Phase::Fail);
        assert_eq!(phase(409, "request-in-progress"), Phase::Info);
        assert_eq!(phase(503, "payment-pending"), Phase::Info);
    }

    #[test]
    fn lines_bear_the_names_that_the_audit_reads() -> anyhow::Result<()> {
        let path = std::env::temp_dir().join(format!("history-{}.jsonl", std::process::id()));
        let history = History::create(&path)?;
        let mut entry = Entry {
            process: 17,
            op_id: 0,
            kind: Kind::Place,
            phase: Phase::Invoke,
            t_mono_ns: 0,
            key: Some("key".to_owned()),
            user_id: Uuid::nil(),
            order_id: None,
            request: json!({"lines": []}),
            status: None,
            body: Value::Null,
        };
        history.invoke(&mut entry);
        (entry.phase, entry.status, entry.body) = (Phase::Fail, Some(409), json!({"code": "x"}));
        history.complete(&mut entry);
        assert_eq!(history.flush()?, 1);
        let text = fs::read_to_string(&path)?;
        fs::remove_file(&path)?;
        let lines: Vec<Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        let mut expected = json!({
            "process": 17, "op_id": 1, "kind": "place", "phase": "invoke", "key": "key",
            "t_mono_ns": lines[0]["t_mono_ns"], "user_id": Uuid::nil(), "order_id": null,
            "request": {"lines": []}, "status": null, "body": null,
        });
        assert_eq!(lines[0], expected);
        expected["phase"] = json!("fail");
        expected["status"] = json!(409);
        expected["body"] = json!({"code": "x"});
        expected["t_mono_ns"] = lines[1]["t_mono_ns"].clone();
        assert_eq!(lines[1], expected);
        Ok(())
    }
}
