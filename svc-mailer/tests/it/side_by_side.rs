//! Mails of one event, whose payments are one partition, go out side by side, and each of them once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use e2e::eventually;
use futures::future::try_join_all;
use platform::kafka::consumer::{Handler, Incoming, Outcome};
use svc_mailer::delivery::Progress;
use svc_mailer::domain::order::PaidOrder;
use uuid::Uuid;

use crate::group::Group;
use crate::post_office::{MailServer, Office, about};
use crate::records::{DEADLINE, World};

/// Mails that an instance sends at a time, and records of a partition that it has in hand.
const AT_ONCE: usize = 4;
const ORDERS: usize = 40;

/// Sends the mail about the order that a record names.
struct Payments {
    office: Office,
    orders: Arc<HashMap<Uuid, PaidOrder>>,
}

impl Handler for Payments {
    async fn handle(&self, record: &Incoming<'_>) -> Outcome {
        let order = record.key.parse().ok().and_then(|id| self.orders.get(&id));
        let Some(order) = order else {
            return Outcome::Dead("no such order".into());
        };
        match self.office.delivery.deliver(about(order), None).await {
            // Later: another instance is sending it. The service would look again when that one's claim ends.
            Ok(Progress::Settled | Progress::Later(_)) => Outcome::Done,
            Ok(Progress::ServerAway(reason)) => Outcome::Retry(reason),
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }
}

/// Orders whose records lie in the partitions of a topic in turn.
async fn sold(
    world: &World,
    group: &Group,
    office: &Office,
    partitions: i32,
) -> anyhow::Result<Arc<HashMap<Uuid, PaidOrder>>> {
    let orders = try_join_all((0..ORDERS).map(|_| office.paid())).await?;
    for (order, partition) in orders.iter().zip((0..partitions).cycle()) {
        group.put(world, partition, order.id).await?;
    }
    Ok(Arc::new(
        orders.into_iter().map(|order| (order.id, order)).collect(),
    ))
}

/// Waits until there is a mail about every order, and holds that none came twice.
async fn each_has_one_mail(server: &MailServer) -> anyhow::Result<()> {
    let what = format!("{ORDERS} mails");
    let enough = async || Ok((server.message_ids().len() >= ORDERS).then_some(()));
    eventually(DEADLINE, &what, enough).await?;
    let mails = server.message_ids();
    let different: BTreeSet<_> = mails.iter().collect();
    assert_eq!((mails.len(), different.len()), (ORDERS, ORDERS));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mails_of_a_partition_go_out_at_the_same_time() -> anyhow::Result<()> {
    let world = World::new()?;
    let group = Group::new(&world, 1).await?;
    // One after the other none would be taken.
    let server = MailServer::start(AT_ONCE)?;
    let office = Office::open(&world, "office", &server, AT_ONCE).await?;
    let orders = sold(&world, &group, &office, 1).await?;
    let member = group.join(&world, AT_ONCE, Arc::new(Payments { office, orders }));
    each_has_one_mail(&server).await?;
    member.stop().await?;
    assert_eq!(server.most_at_once(), AT_ONCE);
    assert_eq!(group.committed(0)?, i64::try_from(ORDERS)?);
    assert_eq!(server.message_ids().len(), ORDERS);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_taken_away_in_the_middle_of_its_mails_has_each_once()
-> anyhow::Result<()> {
    let world = World::new()?;
    let group = Group::new(&world, 2).await?;
    // The first instance has its mails on their way when the second one gets one of its partitions, with the records
    // of those mails first; it leaves them alone, and the gate opens with the mails behind them.
    let server = MailServer::start(2 * AT_ONCE)?;
    let first = Office::open(&world, "first", &server, AT_ONCE).await?;
    let second = Office::open(&world, "second", &server, AT_ONCE).await?;
    let orders = sold(&world, &group, &first, 2).await?;
    let of = |office: Office| {
        let orders = Arc::clone(&orders);
        Arc::new(Payments { office, orders })
    };
    let one = group.join(&world, AT_ONCE, of(first));
    let held = async || Ok((server.most_at_once() == AT_ONCE).then_some(()));
    eventually(DEADLINE, "mails on their way", held).await?;
    let other = group.join(&world, AT_ONCE, of(second));
    group.shared_by(2).await?;
    each_has_one_mail(&server).await?;
    one.stop().await?;
    other.stop().await?;
    for partition in 0..2 {
        let all = i64::try_from(ORDERS / 2)?;
        assert_eq!(group.committed(partition)?, all);
    }
    assert_eq!(server.message_ids().len(), ORDERS);
    Ok(())
}
