//! What a mail costs the database, and what a crash between any two of its steps leaves behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{join_all, try_join_all};
use platform::clock::Timestamp;
use platform::http::Language;
use platform::ids::{derived_id, new_id};
use svc_mailer::delivery::Progress;
use svc_mailer::domain::notification::{
    CLAIM_LEASE, Claim, Content, Holder, Notification, Status, Step,
};
use svc_mailer::domain::order::PaidOrder;
use svc_mailer::domain::recipient::Lookup;
use svc_mailer::render::Mail;
use svc_mailer::smtp::Outgoing;
use svc_mailer::store::notification_list::{Entry, List};
use uuid::Uuid;

use crate::post_office::{MailServer, Office, about};
use crate::records::World;

/// Enough for a test that is not about how many.
const MANY: usize = 16;

/// Each lightweight transaction that is accepted gives what it writes a time of its own.
async fn decisions(office: &Office, id: Uuid) -> anyhow::Result<usize> {
    let select = "SELECT WRITETIME(cause), WRITETIME(claim_id), WRITETIME(claimed_until), \
        WRITETIME(message), WRITETIME(status), WRITETIME(settled_at), WRITETIME(announced) \
        FROM notifications WHERE notification_id = ?";
    let rows = office.database.query_unpaged(select, (id,)).await?;
    type Times = (i64, i64, i64, i64, i64, i64, i64);
    let (a, b, c, d, e, f, g) = rows.into_rows_result()?.first_row::<Times>()?;
    Ok(BTreeSet::from([a, b, c, d, e, f, g]).len())
}

#[tokio::test]
async fn a_mail_is_two_decisions_and_six_plain_requests() -> anyhow::Result<()> {
    let world = World::new()?;
    let server = MailServer::start(1)?;
    let office = Office::open(&world, "office", &server, MANY).await?;
    let order = office.paid().await?;
    let id = about(&order).notification_id();

    let before = office.requests();
    let sent = office.delivery.deliver(about(&order), None).await?;
    let asked = office.requests() - before;
    assert_eq!((sent, server.message_ids().len()), (Progress::Settled, 1));
    // Row, recipient, event; the row with its claim; lists, erasure; the end; the note that it was told.
    assert_eq!((asked, decisions(&office, id).await?), (8, 2));

    // When the topic is read again: the row, and the note.
    let before = office.requests();
    let again = office.delivery.deliver(about(&order), None).await?;
    let asked = office.requests() - before;
    assert_eq!((again, server.message_ids().len()), (Progress::Settled, 1));
    assert_eq!((asked, told(&world, id).await?), (2, 1));
    assert_eq!(decisions(&office, id).await?, 2);
    Ok(())
}

/// How often the end of the message was told, always under one id.
async fn told(world: &World, id: Uuid) -> anyhow::Result<usize> {
    let key = id.to_string();
    let mut records = world.stack.all_records("mailer.notifications").await?;
    records.retain(|record| record.key == key);
    let ids: BTreeSet<_> = records
        .iter()
        .map(|record| &record.headers["ce_id"])
        .collect();
    anyhow::ensure!(ids.len() <= 1, "{ids:?}");
    Ok(records.len())
}

/// Where the process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum DiedAfter {
    /// The row and its claim are there, the lists are not.
    Claim,
    /// The mail server has said yes.
    Yes,
    /// The row says that the message is sent.
    End,
    /// The record about it is out.
    Record,
    /// That is noted.
    Note,
}

/// Who finds what was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finder {
    /// The same instance, started again, to which the record comes again.
    Restarted,
    /// Another one, to which it comes while the lease runs, and when it is over.
    Other,
    /// The sweeper of another one, when the lease is over.
    Sweeper,
}

/// What it left.
struct Left {
    id: Uuid,
    address: String,
}

/// Does what a process did before it `died`.
async fn leave(
    office: &Office,
    order: &PaidOrder,
    died: DiedAfter,
    lease_ends: Timestamp,
) -> anyhow::Result<Left> {
    let delivery = &office.delivery;
    let found = delivery.recipients.find(order.user_id).await?;
    let Lookup::Known(recipient) = found else {
        anyhow::bail!("{found:?}");
    };
    let claim = Claim {
        id: new_id(),
        holder: delivery.holder.clone(),
        until: lease_ends,
    };
    let content = Content {
        language: "en".into(),
        recipient: recipient.email.clone(),
        subject: "Your tickets".into(),
        text: "Here they are".into(),
    };
    let now = Timestamp::now_millis();
    let message = Notification::queued(about(order), None, now).begun(claim, content);
    anyhow::ensure!(delivery.notifications.insert(&message).await?);
    if died >= DiedAfter::Yes {
        let outgoing = Outgoing {
            id: message.id,
            name: recipient.name,
            address: recipient.email.clone(),
            date: now,
            mail: Mail {
                language: Language::En,
                subject: "Your tickets".into(),
                text: "Here they are".into(),
                html: "<p>Here they are</p>".into(),
                kept_text: "Here they are".into(),
            },
        };
        delivery.smtp.send(outgoing).await?;
        delivery.lists.put(&message).await?;
    }
    let ended = message.settled(Status::Sent, None, now);
    if died >= DiedAfter::End {
        anyhow::ensure!(delivery.notifications.settle(&ended).await?);
    }
    if died >= DiedAfter::Record {
        delivery.announcer.announce(&ended).await?;
    }
    if died >= DiedAfter::Note {
        delivery.announced.put(ended.id, now).await?;
    }
    Ok(Left {
        id: ended.id,
        address: recipient.email,
    })
}

#[tokio::test]
async fn whatever_a_crash_leaves_is_sent_listed_and_told() -> anyhow::Result<()> {
    let world = World::new()?;
    for died in [
        DiedAfter::Claim,
        DiedAfter::Yes,
        DiedAfter::End,
        DiedAfter::Record,
        DiedAfter::Note,
    ] {
        for finder in [Finder::Restarted, Finder::Other, Finder::Sweeper] {
            let case = format!("{died:?} {finder:?}");
            let server = MailServer::start(1)?;
            let dead = Office::open(&world, "first", &server, MANY).await?;
            let name = match finder {
                Finder::Restarted => "first",
                Finder::Other | Finder::Sweeper => "second",
            };
            let office = Office::open(&world, name, &server, MANY).await?;
            let order = dead.paid().await?;
            let now = Timestamp::now_millis();
            let lease_ends = match finder {
                Finder::Restarted => now + CLAIM_LEASE,
                Finder::Other | Finder::Sweeper => now,
            };
            let left = leave(&dead, &order, died, lease_ends).await?;
            let found = match finder {
                Finder::Sweeper => office.delivery.advance_by_id(left.id).await?,
                Finder::Restarted | Finder::Other => {
                    office.delivery.deliver(about(&order), None).await?
                }
            };
            assert_eq!(found, Progress::Settled, "{case}");

            // A second copy where the yes was not written down, and nowhere else; it can be told as one.
            let mails = server.message_ids();
            let copies = if died == DiedAfter::Yes { 2 } else { 1 };
            assert_eq!(mails.len(), copies, "{case}: {mails:?}");
            assert_eq!(mails.iter().collect::<BTreeSet<_>>().len(), 1, "{case}");
            let times = if died == DiedAfter::Record { 2 } else { 1 };
            assert_eq!(told(&world, left.id).await?, times, "{case}");
            let delivery = &office.delivery;
            let row = delivery.notifications.find_newest(left.id).await?;
            let row = row.expect("the row");
            let entry = Entry::of(&row);
            assert_eq!(row.status, Status::Sent, "{case}");
            for list in [
                List::User(order.user_id),
                List::Event(order.event_id),
                List::Address(left.address.clone()),
                List::day_of(row.created_at),
            ] {
                let above = Entry {
                    at: entry.at,
                    id: Uuid::max(),
                };
                let listed = delivery.lists.page(&list, above, 100).await?;
                assert!(listed.contains(&entry), "{case}: {list:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn nobody_sends_what_somebody_else_may_be_sending() -> anyhow::Result<()> {
    let world = World::new()?;
    let server = MailServer::start(1)?;
    let first = Office::open(&world, "first", &server, MANY).await?;
    let second = Office::open(&world, "second", &server, MANY).await?;
    let order = first.paid().await?;
    let lease_ends = Timestamp::now_millis() + CLAIM_LEASE;
    let left = leave(&first, &order, DiedAfter::Claim, lease_ends).await?;
    for found in [
        second.delivery.deliver(about(&order), None).await?,
        second.delivery.advance_by_id(left.id).await?,
    ] {
        assert_eq!(found, Progress::Later(lease_ends));
    }
    assert!(server.message_ids().is_empty());

    // And where all begin at the same time, one of them sends.
    let order = first.paid().await?;
    let all = [&first, &second, &first, &second, &first, &second].map(|office| {
        let (delivery, cause) = (Arc::clone(&office.delivery), about(&order));
        async move { delivery.deliver(cause, None).await }
    });
    for ended in join_all(all).await {
        let ended = ended?;
        let waits = matches!(ended, Progress::Later(_));
        assert!(waits || ended == Progress::Settled, "{ended:?}");
    }
    assert_eq!(server.message_ids().len(), 1);
    let id = about(&order).notification_id();
    assert_eq!(decisions(&first, id).await?, 2);
    Ok(())
}

#[tokio::test]
async fn so_many_are_on_their_way_at_once_and_no_more() -> anyhow::Result<()> {
    const AT_ONCE: usize = 2;
    let world = World::new()?;
    let server = MailServer::start(AT_ONCE)?;
    let office = Office::open(&world, "office", &server, AT_ONCE).await?;
    let orders = try_join_all((0..6).map(|_| office.paid())).await?;
    let all = orders.iter().map(|order| {
        let (delivery, cause) = (Arc::clone(&office.delivery), about(order));
        async move { delivery.deliver(cause, None).await }
    });
    for ended in join_all(all).await {
        assert_eq!(ended?, Progress::Settled);
    }
    assert_eq!(server.message_ids().len(), orders.len());
    assert_eq!(server.most_at_once(), AT_ONCE);
    Ok(())
}

#[tokio::test]
async fn what_has_its_turn_goes_on_when_nobody_waits_for_it() -> anyhow::Result<()> {
    let world = World::new()?;
    let server = MailServer::start(1)?;
    let office = Office::open(&world, "office", &server, MANY).await?;
    let order = office.paid().await?;
    // As where a partition is taken away: between its claim and its end a message would wait for the lease.
    let dropped = office.delivery.deliver(about(&order), None).now_or_never();
    assert!(dropped.is_none());
    office.delivery.in_hand.close();
    office.delivery.in_hand.wait().await;
    let id = about(&order).notification_id();
    let row = office.delivery.notifications.find_newest(id).await?;
    assert_eq!(row.map(|row| row.status), Some(Status::Sent));
    assert_eq!(server.message_ids().len(), 1);
    Ok(())
}

#[tokio::test]
async fn who_is_erased_between_the_row_and_its_lists_is_forgotten() -> anyhow::Result<()> {
    let world = World::new()?;
    let server = MailServer::start(1)?;
    let office = Office::open(&world, "office", &server, MANY).await?;
    let order = office.paid().await?;
    let now = Timestamp::now_millis();
    let left = leave(&office, &order, DiedAfter::Claim, now).await?;
    // The message is on no list on which it could be found.
    office.delivery.erase(order.user_id).await?;
    let found = office.delivery.notifications.find_newest(left.id).await?;
    assert!(found.is_some_and(|row| row.content.is_some()));

    let ended = office.delivery.deliver(about(&order), None).await?;
    assert_eq!(ended, Progress::Settled);
    let row = office.delivery.notifications.find_newest(left.id).await?;
    let row = row.expect("the row");
    assert_eq!((row.status, row.content), (Status::Failed, None));
    let by_address = List::Address(left.address);
    let listed = office.delivery.lists.page(&by_address, Entry::TOP, 10);
    assert!(listed.await?.is_empty());
    assert!(server.message_ids().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_mail_that_is_being_sent_is_not_given_up_by_somebody_else() -> anyhow::Result<()> {
    let world = World::new()?;
    let server = MailServer::start(1)?;
    let office = Office::open(&world, "office", &server, MANY).await?;
    let order = office.paid().await?;
    let now = Timestamp::now_millis();
    // Read before somebody else began to send it.
    let seen = Notification::queued(about(&order), None, now);
    let left = leave(&office, &order, DiedAfter::Claim, now + CLAIM_LEASE).await?;
    let given_up = seen.settled(Status::Failed, Some("too late".into()), now);
    let notifications = &office.delivery.notifications;
    assert!(!notifications.settle_unsent(&given_up).await?);
    let row = notifications.find_newest(left.id).await?.expect("the row");
    let other = Holder {
        instance: "other".into(),
        boot: derived_id(left.id, &["other"]),
    };
    assert_eq!(
        row.next_step(&other, now),
        Step::WaitUntil(now + CLAIM_LEASE)
    );
    Ok(())
}
