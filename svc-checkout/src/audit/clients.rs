//! What clients asked and were answered, against the ledger.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::BufRead;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::ledger::{Entry, Ledger, Step};
use super::report::{Found, Promise};

/// What a line of the history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Place,
    Pay,
    Cancel,
    Refund,
    Release,
}

/// Before a request, and how it ended. `Info`: nobody knows whether it had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Invoke,
    Ok,
    Fail,
    Info,
}

#[derive(Debug, Deserialize)]
struct HistoryLine {
    op_id: u64,
    kind: Kind,
    phase: Phase,
    key: Option<String>,
    user_id: Uuid,
    order_id: Option<Uuid>,
    request: Option<Value>,
    body: Option<Value>,
}

/// A request and how it ended.
struct Operation {
    kind: Kind,
    /// As it was when nothing more was written of it.
    phase: Phase,
    key: Option<String>,
    user_id: Uuid,
    order_id: Option<Uuid>,
    event_id: Option<Uuid>,
    body: Option<Value>,
}

/// Everything that clients wrote down.
pub(super) struct History {
    operations: HashMap<u64, Operation>,
}

fn uuid_in(value: Option<&Value>, field: &str) -> Option<Uuid> {
    value?.get(field)?.as_str()?.parse().ok()
}

impl History {
    /// Reads JSON lines; docs/PROOF.md has their fields.
    pub(super) fn read(lines: impl BufRead) -> anyhow::Result<Self> {
        let mut operations: HashMap<u64, Operation> = HashMap::new();
        for (number, line) in (1..).zip(lines.lines()) {
            let line: HistoryLine = serde_json::from_str(&line?)
                .with_context(|| format!("line {number} of the history"))?;
            match line.phase {
                Phase::Invoke => {
                    let operation = Operation {
                        kind: line.kind,
                        phase: Phase::Info,
                        key: line.key,
                        user_id: line.user_id,
                        order_id: line.order_id,
                        event_id: uuid_in(line.request.as_ref(), "event_id"),
                        body: None,
                    };
                    operations.insert(line.op_id, operation);
                }
                phase => {
                    let operation = operations.get_mut(&line.op_id).with_context(|| {
                        format!("line {number} of the history answers what was not asked")
                    })?;
                    operation.phase = phase;
                    operation.body = line.body;
                }
            }
        }
        Ok(Self { operations })
    }

    /// How many requests there were.
    pub(super) fn len(&self) -> usize {
        self.operations.len()
    }

    pub(super) fn check(&self, ledger: &Ledger, found: &mut Found) {
        for operation in self.operations.values() {
            if operation.phase == Phase::Ok {
                is_kept(operation, ledger, found);
            }
        }
        self.one_effect_per_key(found);
        self.no_effect_of_refusals(ledger, found);
    }

    /// One key, one order, however often it was sent.
    fn one_effect_per_key(&self, found: &mut Found) {
        let mut orders: HashMap<(Uuid, &str, Option<Uuid>), BTreeSet<Uuid>> = HashMap::new();
        for operation in self.operations.values() {
            let order_id = uuid_in(operation.body.as_ref(), "id");
            if operation.kind == Kind::Place
                && operation.phase == Phase::Ok
                && let (Some(key), Some(order_id)) = (&operation.key, order_id)
            {
                let wish = (operation.user_id, key.as_str(), operation.event_id);
                orders.entry(wish).or_default().insert(order_id);
            }
        }
        for ((user_id, key, _), orders) in orders {
            if orders.len() > 1 {
                found.add(
                    Promise::OneEffectPerKey,
                    user_id,
                    format!("key {key} of {user_id} was answered with {orders:?}"),
                );
            }
        }
    }

    /// A buyer has no more orders than wishes of his were granted or have an unknown end.
    fn no_effect_of_refusals(&self, ledger: &Ledger, found: &mut Found) {
        let mut granted: HashMap<(Uuid, Uuid), HashSet<&str>> = HashMap::new();
        for operation in self.operations.values() {
            if let (Kind::Place, Some(event_id)) = (operation.kind, operation.event_id) {
                let wishes = granted.entry((operation.user_id, event_id)).or_default();
                if operation.phase != Phase::Fail {
                    wishes.insert(operation.key.as_deref().unwrap_or_default());
                }
            }
        }
        let mut made: HashMap<(Uuid, Uuid), usize> = HashMap::new();
        for entries in ledger.orders.values() {
            if let Some(first) = entries.first() {
                *made.entry((first.user_id, first.event_id)).or_default() += 1;
            }
        }
        for ((user_id, event_id), wishes) in granted {
            let orders = made.get(&(user_id, event_id)).copied().unwrap_or(0);
            if orders > wishes.len() {
                found.add(
                    Promise::RefusedWithoutEffect,
                    user_id,
                    format!(
                        "buyer {user_id} has {orders} orders of event {event_id}, and {} wishes of his were not refused",
                        wishes.len()
                    ),
                );
            }
        }
    }
}

/// What was answered is in the ledger.
fn is_kept(operation: &Operation, ledger: &Ledger, found: &mut Found) {
    let order_id = match operation.kind {
        Kind::Place => uuid_in(operation.body.as_ref(), "id"),
        _ => operation.order_id,
    };
    let Some(order_id) = order_id else {
        let user_id = operation.user_id;
        found.add(
            Promise::NothingAnsweredIsLost,
            user_id,
            format!("an order of {user_id} was answered without an id"),
        );
        return;
    };
    let entries = ledger.orders.get(&order_id).map_or(&[][..], Vec::as_slice);
    let has = |step| entries.iter().any(|entry: &Entry| entry.step == step);
    let kept = match operation.kind {
        Kind::Place => {
            let event_id = operation.event_id;
            entries.iter().any(|entry| {
                entry.step == Step::Reserved
                    && entry.user_id == operation.user_id
                    && event_id.is_none_or(|id| id == entry.event_id)
            })
        }
        Kind::Pay => has(Step::Confirmed),
        Kind::Cancel => has(Step::Cancelled),
        Kind::Refund => has(Step::Refunded),
        Kind::Release => {
            let answered = uuid_in(operation.body.as_ref(), "id");
            let mut released = entries.iter().filter_map(|entry| entry.released);
            released.any(|ticket| Some(ticket.ticket_id) == answered)
        }
    };
    if !kept {
        let kind = operation.kind;
        found.add(
            Promise::NothingAnsweredIsLost,
            order_id,
            format!("{kind:?} of order {order_id} was answered, and the ledger does not have it"),
        );
    }
}
