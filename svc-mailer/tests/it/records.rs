//! Puts the records of the other services on their topics, so that each test makes a world of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use e2e::{Stack, eventually};
use platform::avro::Registry;
use platform::clock::Timestamp;
use platform::config::{CqlConfig, Env};
use platform::cql;
use platform::ids::{derived_id, new_id};
use platform::kafka::headers::RecordHeaders;
use platform::kafka::producer::Producer;
use platform::kafka::{client_config, partition_of};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use schemas::catalog::{EventSnapshot, EventStatus, Venue};
use schemas::checkout::{
    EndReason, IssuedTicket, OrderCancelled, OrderLine, OrderRefunded, PaymentConfirmed,
};
use schemas::identity::{
    EmailChangeRequested, PasswordResetRequested, SecurityNotice, UserSnapshot,
};
use schemas::mailer::{NotificationFailed, NotificationSent};
use schemas::topics::{
    CATALOG_EVENTS, CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, IDENTITY_MAIL, IDENTITY_NOTICES,
    IDENTITY_USERS, MAILER_NOTIFICATIONS,
};
use schemas::{Money, Record};
use scylla::client::session::Session;
use svc_mailer::consume::GROUP;
use uuid::Uuid;

/// For what has to pass two topics and a mail server.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// A broker on this machine answers at once.
pub(crate) const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// Partitions of the tables that are not split by event.
const TABLE_PARTITIONS: i32 = 6;

/// A stack, and a way to speak for the other services on it.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) producer: Producer,
    pub(crate) registry: Registry,
}

impl World {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        Ok(Self {
            producer: Producer::new(&stack.kafka_brokers, "svc-mailer-it")?,
            registry: Registry::new(&stack.schema_registry_url)?,
            stack,
        })
    }

    pub(crate) async fn user(&self, user: &UserSnapshot) -> anyhow::Result<()> {
        let partition = partition_of(user.user_id, TABLE_PARTITIONS);
        self.put(IDENTITY_USERS.name, partition, user.user_id, user)
            .await
    }

    pub(crate) async fn erase_user(&self, user_id: Uuid) -> anyhow::Result<()> {
        let headers = headers(UserSnapshot::NAME, user_id);
        let topic = IDENTITY_USERS.name;
        self.producer
            .send(topic, TABLE_PARTITIONS, user_id, headers, None)
            .await?;
        Ok(())
    }

    /// Somebody forgot the password. Returns the id of the mail.
    pub(crate) async fn reset(&self, asked: &PasswordResetRequested) -> anyhow::Result<Uuid> {
        let partition = partition_of(asked.user_id, TABLE_PARTITIONS);
        self.put(IDENTITY_MAIL.name, partition, asked.user_id, asked)
            .await?;
        Ok(derived_id(asked.token_id, &["password-reset"]))
    }

    /// Somebody wants another address.
    pub(crate) async fn email_change(&self, asked: &EmailChangeRequested) -> anyhow::Result<()> {
        let partition = partition_of(asked.user_id, TABLE_PARTITIONS);
        self.put(IDENTITY_MAIL.name, partition, asked.user_id, asked)
            .await
    }

    /// Something happened to an account.
    pub(crate) async fn notice(&self, notice: &SecurityNotice) -> anyhow::Result<()> {
        let partition = partition_of(notice.user_id, TABLE_PARTITIONS);
        self.put(IDENTITY_NOTICES.name, partition, notice.user_id, notice)
            .await
    }

    pub(crate) async fn event(&self, event: &EventSnapshot) -> anyhow::Result<()> {
        let partition = partition_of(event.event_id, TABLE_PARTITIONS);
        self.put(CATALOG_EVENTS.name, partition, event.event_id, event)
            .await
    }

    pub(crate) async fn payment(&self, payment: &PaymentConfirmed) -> anyhow::Result<()> {
        let partition = self.event_partition(payment.event_id);
        self.put(CHECKOUT_PAYMENTS.name, partition, payment.order_id, payment)
            .await
    }

    /// An order ends before it is paid.
    pub(crate) async fn cancelled(&self, order: &OrderCancelled) -> anyhow::Result<()> {
        let partition = self.event_partition(order.event_id);
        self.put(CHECKOUT_ORDERS.name, partition, order.order_id, order)
            .await
    }

    /// A paid order is taken back.
    pub(crate) async fn refunded(&self, order: &OrderRefunded) -> anyhow::Result<()> {
        let partition = self.event_partition(order.event_id);
        self.put(CHECKOUT_ORDERS.name, partition, order.order_id, order)
            .await
    }

    /// Bytes that are no record, where the payments of the event are. Returns their key.
    pub(crate) async fn poison(&self, event_id: Uuid) -> anyhow::Result<Uuid> {
        let key = new_id();
        let partition = self.event_partition(event_id);
        let headers = headers("ticketing.checkout.PaymentConfirmed", key);
        self.producer
            .send_to(
                CHECKOUT_PAYMENTS.name,
                partition,
                &key.to_string(),
                headers,
                Some(b"poison"),
            )
            .await?;
        Ok(key)
    }

    /// The keyspace of the service, as the service itself connects to it.
    pub(crate) async fn database(&self) -> anyhow::Result<Arc<Session>> {
        let settings = [
            ("CQL_NODES", self.stack.cql_nodes.as_str()),
            // As `infra/local/stack` names it.
            ("CQL_KEYSPACE", "mailer"),
            ("CQL_REPLICATION_FACTOR", "1"),
            ("CQL_DATACENTER", "datacenter1"),
        ];
        let config = Env::from_map(settings).read(CqlConfig::from_env)?;
        Ok(cql::connect(&config).await?)
    }

    /// The row of a message, all of it.
    pub(crate) async fn row(&self, id: Uuid) -> anyhow::Result<String> {
        let select = "SELECT JSON * FROM notifications WHERE notification_id = ?";
        let rows = self.database().await?.query_unpaged(select, (id,)).await?;
        Ok(rows.into_rows_result()?.first_row::<(String,)>()?.0)
    }

    /// Waits until the mail server has taken the message.
    pub(crate) async fn sent(&self, id: Uuid) -> anyhow::Result<NotificationSent> {
        let mut topic = self.stack.records(MAILER_NOTIFICATIONS.name)?;
        Ok(topic.wait_for_key(id, DEADLINE).await?.1)
    }

    /// Waits until the message is given up, and tells why, and after how many attempts.
    pub(crate) async fn failed(&self, id: Uuid) -> anyhow::Result<(String, i64)> {
        let mut topic = self.stack.records(MAILER_NOTIFICATIONS.name)?;
        let (_, failed) = topic
            .wait_for_key::<NotificationFailed>(id, DEADLINE)
            .await?;
        Ok((failed.reason, failed.attempts))
    }

    /// Waits until the service has handled the records that are on the topic under this key now: the place from which
    /// it would read on is behind them.
    pub(crate) async fn handled(&self, topic: &str, key: Uuid) -> anyhow::Result<()> {
        let key = key.to_string();
        let records = self.stack.all_records(topic).await?;
        let last = records.iter().rfind(|record| record.key == key);
        let (partition, offset) = last
            .map(|last| (last.partition, last.offset))
            .with_context(|| format!("a record of {key} on {topic}"))?;
        let what = format!("offset {offset} of {topic}/{partition} to be handled");
        eventually(DEADLINE, &what, async || {
            let next = committed(&self.stack.kafka_brokers, GROUP, topic, partition)?;
            Ok((next > offset).then_some(()))
        })
        .await
    }

    /// Somebody whose records are behind those of `user_id`: when he has a mail, the mailer has read them.
    pub(crate) async fn witness_behind(&self, user_id: Uuid) -> anyhow::Result<UserSnapshot> {
        let partition = partition_of(user_id, TABLE_PARTITIONS);
        let mut witness = user("en");
        while partition_of(witness.user_id, TABLE_PARTITIONS) != partition {
            witness.user_id = new_id();
        }
        self.user(&witness).await?;
        Ok(witness)
    }

    fn event_partition(&self, event_id: Uuid) -> i32 {
        partition_of(event_id, self.stack.event_partitions)
    }

    async fn put<R: Record>(
        &self,
        topic: &str,
        partition: i32,
        key: Uuid,
        record: &R,
    ) -> anyhow::Result<()> {
        let payload = self.registry.register::<R>().await?.encode(record);
        let headers = headers(R::NAME, key);
        self.producer
            .send_to(topic, partition, &key.to_string(), headers, Some(&payload))
            .await?;
        Ok(())
    }
}

/// The offset at which a group would begin; 0 where it has none.
pub(crate) fn committed(
    brokers: &str,
    group: &str,
    topic: &str,
    partition: i32,
) -> anyhow::Result<i64> {
    let mut config = client_config(brokers, "svc-mailer-it");
    let asker: BaseConsumer = config.set("group.id", group).create()?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, partition);
    let committed = asker.committed_offsets(asked, BROKER_TIMEOUT)?;
    let found = committed.find_partition(topic, partition);
    let offset = found.and_then(|found| found.offset().to_raw());
    Ok(offset.unwrap_or_default().max(0))
}

pub(crate) fn headers(record_name: &str, key: Uuid) -> rdkafka::message::OwnedHeaders {
    RecordHeaders {
        id: new_id(),
        record_name,
        source: "/svc-mailer-it",
        subject: &key.to_string(),
        time: Timestamp::now(),
        traceparent: None,
    }
    .to_owned_headers()
}

pub(crate) fn user(locale: &str) -> UserSnapshot {
    UserSnapshot {
        user_id: new_id(),
        version: 1,
        name: "Zoë <b>Müller</b>".into(),
        email: e2e::users::fresh_email("mailer"),
        phone: None,
        locale: locale.into(),
        roles: vec!["customer".into()],
        email_verified: true,
        created_at: Timestamp::now().as_micros(),
        wished_email: None,
        former_emails: None,
    }
}

pub(crate) fn event() -> EventSnapshot {
    EventSnapshot {
        event_id: new_id(),
        version: 1,
        name: "Nuit & Jour".into(),
        kind: "concert".into(),
        description: String::new(),
        venue: Venue {
            name: "L'Olympia".into(),
            city: "Paris".into(),
            address: "28 bd des Capucines".into(),
        },
        starts_at: at("2027-05-01T18:00:00Z"),
        ends_at: at("2027-05-01T21:00:00Z"),
        time_zone: "Europe/Paris".into(),
        status: EventStatus::Published,
        organizer_id: new_id(),
        capacity: None,
        image_url: None,
        ticket_types: Some(Vec::new()),
        attendance_releases_seat: None,
    }
}

fn at(text: &str) -> i64 {
    Timestamp::parse(text).expect("a moment").as_micros()
}

pub(crate) fn payment(user_id: Uuid, event_id: Uuid) -> PaymentConfirmed {
    let order_id = new_id();
    let ticket_type_id = new_id();
    let price = Money {
        amount: 2_500,
        currency: "EUR".into(),
    };
    let total = Money {
        amount: 5_000,
        currency: "EUR".into(),
    };
    let now = Timestamp::now().as_micros();
    let ticket = |number: i64| IssuedTicket {
        ticket_id: derived_id(order_id, &["ticket", &number.to_string()]),
        number,
        ticket_type_id,
        kind: "general".into(),
        price: price.clone(),
    };
    PaymentConfirmed {
        order_id,
        event_id,
        user_id,
        version: 2,
        number: format!("O-{}", &order_id.simple().to_string()[22..]).to_uppercase(),
        payment_id: new_id(),
        lines: vec![OrderLine {
            ticket_type_id,
            quantity: 2,
            unit_price: price.clone(),
            line_total: total.clone(),
        }],
        tickets: vec![ticket(1), ticket(2)],
        total,
        reserved_at: now,
        confirmed_at: now,
        voucher: None,
    }
}

/// A hold that was ended for a reason.
pub(crate) fn cancelled(user_id: Uuid, event_id: Uuid, reason: EndReason) -> OrderCancelled {
    let held = payment(user_id, event_id);
    OrderCancelled {
        order_id: held.order_id,
        event_id,
        user_id,
        version: 2,
        lines: held.lines,
        total: held.total,
        reserved_at: held.reserved_at,
        cancelled_at: held.confirmed_at,
        voucher: None,
        number: Some(held.number),
        reason: Some(reason),
        payment_id: None,
    }
}

/// A paid order that was taken back for a reason.
pub(crate) fn refunded(user_id: Uuid, event_id: Uuid, reason: EndReason) -> OrderRefunded {
    let paid = payment(user_id, event_id);
    OrderRefunded {
        order_id: paid.order_id,
        event_id,
        user_id,
        version: 3,
        lines: paid.lines,
        total: paid.total,
        reserved_at: paid.reserved_at,
        payment_id: Some(paid.payment_id),
        refunded_at: paid.confirmed_at,
        voucher: None,
        number: Some(paid.number),
        reason: Some(reason),
    }
}

/// The id of the mail about a payment, as everybody can work it out.
pub(crate) fn notification_id(payment: &PaymentConfirmed) -> Uuid {
    derived_id(payment.order_id, &["payment-confirmed"])
}

/// A reset that ends after `seconds`.
pub(crate) fn reset(user_id: Uuid, seconds: u64) -> PasswordResetRequested {
    let now = Timestamp::now();
    let token_id = new_id();
    PasswordResetRequested {
        user_id,
        token_id,
        token: format!("s3cr3t-{}", token_id.simple()),
        requested_at: now.as_micros(),
        expires_at: (now + Duration::from_secs(seconds)).as_micros(),
        user_version: None,
    }
}
