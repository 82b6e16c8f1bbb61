//! The instruments themselves: what the fault runs rely on must be seen when it is there.

use std::time::Duration;

use anyhow::ensure;
use e2e::Stack;
use e2e::wait::SOON;
use platform::avro::Registry;
use platform::ids::new_id;
use platform::kafka::client_config;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use schemas::checkout::PaymentRefundDue;
use schemas::{Money, Record as _};
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(10);

fn refund(order: Uuid) -> PaymentRefundDue {
    PaymentRefundDue {
        order_id: order,
        event_id: new_id(),
        payment_id: new_id(),
        amount: Money {
            amount: 2_500,
            currency: "EUR".to_owned(),
        },
        due_at: 1,
    }
}

/// A throw-away topic of two partitions.
struct Topic {
    admin: AdminClient<DefaultClientContext>,
    name: String,
}

impl Topic {
    async fn create(stack: &Stack) -> anyhow::Result<Self> {
        let admin: AdminClient<_> = client_config(&stack.kafka_brokers, "e2e").create()?;
        let name = format!("e2e.harness.{}", new_id());
        let new = NewTopic::new(&name, 2, TopicReplication::Fixed(1));
        for made in admin.create_topics([&new], &AdminOptions::new()).await? {
            made.map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
        }
        Ok(Self { admin, name })
    }

    async fn delete(self) -> anyhow::Result<()> {
        self.admin
            .delete_topics(&[&self.name], &AdminOptions::new())
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn records_come_when_their_transaction_ends() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let topic = Topic::create(&stack).await?;
    let encoder = Registry::new(&stack.schema_registry_url)?
        .register_on::<PaymentRefundDue>(&topic.name)
        .await?;
    let producer: BaseProducer = client_config(&stack.kafka_brokers, "e2e")
        .set("transactional.id", &topic.name)
        .create()?;
    producer.init_transactions(TIMEOUT)?;

    let mut reader = stack.records(&topic.name)?;
    let (first, aborted) = (refund(new_id()), refund(new_id()));
    let send = |record: &PaymentRefundDue, partition| {
        let (key, payload) = (record.order_id.to_string(), encoder.encode(record));
        let record = BaseRecord::to(&topic.name)
            .key(&key)
            .payload(&payload)
            .partition(partition);
        producer.send(record).map_err(|(error, _)| error)?;
        producer.flush(TIMEOUT)
    };
    producer.begin_transaction()?;
    send(&first, 1)?;
    ensure!(
        reader.behind_open_transactions()? == [(1, 1)],
        "an open transaction is not seen"
    );
    ensure!(
        stack.all_records(&topic.name).await?.is_empty(),
        "an open transaction's record is read"
    );

    producer.commit_transaction(TIMEOUT)?;
    let (seen, record) = reader
        .wait_for_key::<PaymentRefundDue>(first.order_id, SOON)
        .await?;
    ensure!(
        record == first && seen.partition == 1 && seen.offset == 0,
        "{seen:?} {record:?}"
    );
    ensure!(
        seen.name == PaymentRefundDue::NAME && seen.short_name() == "PaymentRefundDue",
        "{seen:?}"
    );
    ensure!(
        reader.behind_open_transactions()?.is_empty(),
        "a closed transaction is taken for open"
    );

    let mut later = stack.records_from_now(&topic.name)?;
    producer.begin_transaction()?;
    send(&aborted, 0)?;
    producer.abort_transaction(TIMEOUT)?;
    producer.begin_transaction()?;
    let last = refund(new_id());
    send(&last, 0)?;
    producer.commit_transaction(TIMEOUT)?;
    let seen = later.wait_for("the next record", SOON, |_| true).await?;
    ensure!(
        seen.key == last.order_id.to_string(),
        "{seen:?} is not the first committed one"
    );
    ensure!(
        stack.all_records(&topic.name).await?.len() == 2,
        "an aborted record is read"
    );
    topic.delete().await
}

#[tokio::test]
async fn poison_is_no_record_and_ends_no_reader() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let topic = Topic::create(&stack).await?;
    let producer: BaseProducer = client_config(&stack.kafka_brokers, "e2e").create()?;
    for payload in [
        "",
        "no record",
        "\0\u{7f}\u{7f}\u{7f}\u{7f}an unknown schema",
    ] {
        let record = BaseRecord::to(&topic.name)
            .key("poison")
            .payload(payload)
            .partition(0);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(TIMEOUT)?;
    let seen = stack.all_records(&topic.name).await?;
    ensure!(seen.len() == 3, "{seen:?}");
    ensure!(seen.iter().all(|record| record.name.is_empty()), "{seen:?}");
    ensure!(
        seen[1].read::<PaymentRefundDue>().is_err(),
        "poison is read"
    );
    topic.delete().await
}
