//! Brings one message to its end, however often it is asked to and whatever crashes in between.
//!
//! The row is written first. An attempt begins with a claim on the row, so that one process at a time talks to the
//! mail server about a message; it ends with a row that says `sent`, `failed` or that nobody holds it. Then the end is
//! announced, and the row says that too. A crash between the server's yes and the row that says `sent` makes a second
//! copy, with the same Message-ID; nothing else does, short of a lease that ran out under a process that was stopped.

mod attempt;
mod erasure;
mod sealed;

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::kafka::producer::ProduceError;
use platform::vault::Vault;
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::announce::Announcer;
use crate::domain::cause::Cause;
use crate::domain::notification::{Holder, Notification, Step};
use crate::render::{RenderError, Renderer};
use crate::smtp::Smtp;
use crate::store::event::Events;
use crate::store::notification::Notifications;
use crate::store::notification_list::{Entry, List, NotificationLists};
use crate::store::recipient::Recipients;

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is settled and announced.
    Settled,
    /// Look at it again then; the messages behind it need not wait.
    Later(Timestamp),
    /// The mail server takes nothing; the messages behind it would fare no better.
    ServerAway(String),
}

/// Why a message is where it was. Trying again helps.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The database.
    #[error(transparent)]
    Cql(#[from] CqlError),
    /// The broker.
    #[error(transparent)]
    Produce(#[from] ProduceError),
    /// A template does not fit: our mistake, and every message waits for its correction.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The attempt panicked: our mistake. Its claim waits for the lease.
    #[error("the attempt broke off")]
    Attempt(#[from] JoinError),
}

/// What a delivery needs.
pub struct Delivery {
    /// Who we are to the other instances.
    pub holder: Holder,
    /// Messages.
    pub notifications: Notifications,
    /// Where they are listed.
    pub lists: NotificationLists,
    /// Users.
    pub recipients: Recipients,
    /// Events.
    pub events: Events,
    /// Seals tokens, so that rows have none that can be used.
    pub vault: Vault,
    /// Writes mails.
    pub renderer: Renderer,
    /// Sends mails.
    pub smtp: Smtp,
    /// Tells how they ended.
    pub announcer: Announcer,
    /// Dialogues with the mail server in hand. They are tasks of their own: one that is dropped in the middle would
    /// leave a mail that is out and a row that does not say so.
    pub attempts: TaskTracker,
}

impl Delivery {
    /// Writes the message about `cause` down, unless it is there, and puts it on its lists. Returns the row.
    pub async fn enqueue(
        &self,
        cause: Cause,
        traceparent: Option<&str>,
    ) -> Result<Notification, CqlError> {
        // As precise as its column: the lists sort by it.
        let now = Timestamp::from_millis(Timestamp::now().as_millis());
        let message = self
            .written_down(Notification::queued(cause, traceparent, now))
            .await?;
        if message.announced {
            return Ok(message); // it was listed long ago
        }
        let entry = Entry::of(&message);
        let lists = [
            Some(List::User(message.cause.user_id())),
            Some(List::day_of(message.created_at)),
            message.cause.order_id().map(List::Order),
            message.cause.event_id().map(List::Event),
        ];
        for list in lists.iter().flatten() {
            self.lists.put(list, entry).await?;
        }
        Ok(message)
    }

    /// The row of `new`, which may be older than `new`.
    async fn written_down(&self, new: Notification) -> Result<Notification, CqlError> {
        // A replay of the topic asks for what is there: a read, not a transaction for each record.
        if let Some(found) = self.notifications.find(new.id).await?
            && found.announced
        {
            return Ok(found);
        }
        if self.notifications.insert(&new).await? {
            return Ok(new);
        }
        Ok(self.notifications.find_newest(new.id).await?.unwrap_or(new))
    }

    /// Does the next step of the message until none is left that can be done now.
    pub async fn advance(
        self: &Arc<Self>,
        mut message: Notification,
    ) -> Result<Progress, DeliveryError> {
        loop {
            let now = Timestamp::now();
            match message.next_step(&self.holder, now) {
                Step::Nothing => return Ok(Progress::Settled),
                Step::Announce => {
                    self.announce(&message).await?;
                    return Ok(Progress::Settled);
                }
                Step::WaitUntil(at) => return Ok(Progress::Later(at)),
                Step::Send => {
                    if let Some(progress) = self.try_to_send(&message, now).await? {
                        return Ok(progress);
                    }
                }
            }
            match self.notifications.find_newest(message.id).await? {
                Some(newest) => message = newest,
                None => return Ok(Progress::Settled),
            }
        }
    }

    /// [`Delivery::advance`] for a message that is known by its id. One that is not there has nothing to do.
    pub async fn advance_by_id(self: &Arc<Self>, id: Uuid) -> Result<Progress, DeliveryError> {
        match self.notifications.find_newest(id).await? {
            Some(message) => self.advance(message).await,
            None => Ok(Progress::Settled),
        }
    }

    async fn announce(&self, message: &Notification) -> Result<(), DeliveryError> {
        self.forget_if_erased(message).await?;
        self.announcer.announce(message).await?;
        self.notifications
            .mark_announced(message.id, message.status)
            .await?;
        metrics::counter!(
            "notifications_total",
            "template" => message.cause.template().as_str(),
            "status" => message.status.as_str(),
        )
        .increment(1);
        Ok(())
    }
}

/// An error with its sources, on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
