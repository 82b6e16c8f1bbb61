//! How every topic is kept. The owner of a topic creates it; a mismatch in the number of
//! partitions refuses to start.

/// How long a topic keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Compacted: the newest full state per key, a tombstone deletes.
    Table,
    /// A table of personal data: compaction is bounded, so that an erased person is gone in time.
    PersonalTable,
    /// The box office's own state: compacted eagerly, so that a take-over reads little.
    StateTable,
    /// A log kept for this many milliseconds.
    LogFor(i64),
    /// A log of secrets that soon are worth nothing: gone within minutes of the hour for which it is kept.
    SecretLog,
    /// A log that is the ledger: never deleted.
    LogForEver,
}

/// How a topic is partitioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitions {
    /// By event, as many as the setting `EVENT_PARTITIONS` says: everything about an event is
    /// in one partition, in one order, with one owner.
    ByEvent,
    /// By key, this many.
    ByKey(i32),
}

/// One topic.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// Name on the broker.
    pub name: &'static str,
    /// How long it keeps its records.
    pub kind: Kind,
    /// How it is partitioned.
    pub partitions: Partitions,
}

impl Topic {
    /// How many partitions it has.
    ///
    /// # Panics
    /// When it is partitioned by event: then a setting says it.
    pub const fn partitions_by_key(&self) -> i32 {
        match self.partitions {
            Partitions::ByKey(count) => count,
            Partitions::ByEvent => panic!("a topic that is partitioned by event"),
        }
    }
}

const fn topic(name: &'static str, kind: Kind, partitions: Partitions) -> Topic {
    Topic {
        name,
        kind,
        partitions,
    }
}

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Users, as other services need them.
pub const IDENTITY_USERS: Topic =
    topic("identity.users", Kind::PersonalTable, Partitions::ByKey(6));
/// Mails that bear a token. Nobody but the mailer may read it.
pub const IDENTITY_MAIL: Topic = topic("identity.mail", Kind::SecretLog, Partitions::ByKey(6));
/// What people should hear of their accounts. Ids only.
pub const IDENTITY_NOTICES: Topic = topic(
    "identity.notices",
    Kind::LogFor(NOTICES_KEPT_FOR_MS),
    Partitions::ByKey(6),
);
/// A mailer that is off for as long finds every notice when it is back.
pub const NOTICES_KEPT_FOR_MS: i64 = 7 * DAY_MS;
/// Events, as people see them.
pub const CATALOG_EVENTS: Topic = topic("catalog.events", Kind::Table, Partitions::ByKey(6));
/// What the box office may sell.
pub const CATALOG_INVENTORY: Topic = topic("catalog.inventory", Kind::Table, Partitions::ByEvent);
/// What the box office is asked to do.
pub const CHECKOUT_COMMANDS: Topic = topic(
    "checkout.commands",
    Kind::LogFor(7 * DAY_MS),
    Partitions::ByEvent,
);
/// What became of orders: half of the ledger.
pub const CHECKOUT_ORDERS: Topic = topic("checkout.orders", Kind::LogForEver, Partitions::ByEvent);
/// What became of money: the other half of the ledger.
pub const CHECKOUT_PAYMENTS: Topic =
    topic("checkout.payments", Kind::LogForEver, Partitions::ByEvent);
/// Live stock.
pub const CHECKOUT_STOCK: Topic = topic("checkout.stock", Kind::Table, Partitions::ByEvent);
/// The box office's own state.
pub const CHECKOUT_STATE: Topic = topic("checkout.state", Kind::StateTable, Partitions::ByEvent);
/// Guests: buyers without an account.
pub const CHECKOUT_GUESTS: Topic =
    topic("checkout.guests", Kind::PersonalTable, Partitions::ByEvent);
/// Who comes with which ticket.
pub const CHECKOUT_ATTENDEES: Topic = topic(
    "checkout.attendees",
    Kind::PersonalTable,
    Partitions::ByEvent,
);
/// Never holds a record: a leaving box office subscribes to it to hand its partitions over.
pub const CHECKOUT_DRAIN: Topic = topic(
    "checkout.drain",
    Kind::LogFor(HOUR_MS),
    Partitions::ByKey(1),
);
/// Answers to commands whose clients wait at another instance. Its key is that instance. One partition: each
/// instance reads all of it and keeps its own.
pub const CHECKOUT_REPLIES: Topic = topic(
    "checkout.replies",
    Kind::LogFor(10 * MINUTE_MS),
    Partitions::ByKey(1),
);
/// What was sent to whom, by id.
pub const MAILER_NOTIFICATIONS: Topic = topic(
    "mailer.notifications",
    Kind::LogForEver,
    Partitions::ByKey(6),
);

/// A dead letter topic of `group` for `source`: `<source>.<group>.dead`.
pub fn dead_letter_topic(source: &str, group: &str) -> String {
    format!("{source}.{group}.dead")
}

impl Kind {
    /// The broker's settings for a topic of this kind.
    pub fn settings(self) -> Vec<(&'static str, String)> {
        let text = |ms: i64| ms.to_string();
        match self {
            Kind::Table => vec![("cleanup.policy", "compact".into())],
            Kind::PersonalTable => vec![
                ("cleanup.policy", "compact".into()),
                ("max.compaction.lag.ms", text(HOUR_MS)),
                ("segment.ms", text(HOUR_MS)),
                ("delete.retention.ms", text(30 * DAY_MS)),
            ],
            // With the defaults compaction does not run for hours and a take-over would read
            // every hold that ever was: 30,000 closed holds were all still there after 80 s,
            // with these settings 3 of them.
            Kind::StateTable => vec![
                ("cleanup.policy", "compact".into()),
                ("segment.bytes", (16 * 1024 * 1024).to_string()),
                ("segment.ms", text(MINUTE_MS)),
                ("min.cleanable.dirty.ratio", "0.1".into()),
                ("delete.retention.ms", text(MINUTE_MS)),
                ("max.compaction.lag.ms", text(MINUTE_MS)),
            ],
            Kind::LogFor(ms) => vec![
                ("cleanup.policy", "delete".into()),
                ("retention.ms", text(ms)),
            ],
            // Only closed segments are deleted.
            Kind::SecretLog => vec![
                ("cleanup.policy", "delete".into()),
                ("retention.ms", text(HOUR_MS)),
                ("segment.ms", text(10 * MINUTE_MS)),
            ],
            Kind::LogForEver => vec![
                ("cleanup.policy", "delete".into()),
                ("retention.ms", "-1".into()),
                ("retention.bytes", "-1".into()),
            ],
        }
    }
}
