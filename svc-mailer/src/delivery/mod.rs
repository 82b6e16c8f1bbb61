//! Brings one message to its end, however often it is asked to and whatever crashes in between.
//!
//! Two decisions are made about a message, each by one lightweight transaction on its row: who sends it, and how that
//! ended. The first is the row itself when the message can go out at once; one that has to wait is written down
//! without it. So one process at a time talks to the mail server about a message, and a message that has an end is
//! not sent again. A crash between the server's yes and the row that says `sent` makes a second copy, with the same
//! Message-ID; nothing else does, short of a lease that ran out under a process that was stopped.
//!
//! All else may be done twice without harm, and is done again until it is done. Whoever asks, a record whose offset is
//! not stored or an entry of the messages that are due, asks again after a crash:
//!
//! * The lists are written beside the dialogue, and a row gets no end before they are.
//! * The record about the end goes out behind the end, at least once, always with the same id. That it is out is noted
//!   in a table of its own; where the note is missing the record goes out once more.

mod attempt;
mod draft;
mod erasure;
mod pace;
mod sealed;

pub use self::pace::Pace;

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::ids::new_id;
use platform::kafka::producer::ProduceError;
use platform::vault::Vault;
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::draft::Draft;
use crate::announce::Announcer;
use crate::domain::cause::Cause;
use crate::domain::notification::{CLAIM_LEASE, Claim, Holder, Notification, Status, Step};
use crate::render::{RenderError, Renderer};
use crate::smtp::Smtp;
use crate::store::announced::Announced;
use crate::store::event::Events;
use crate::store::notification::Notifications;
use crate::store::notification_list::NotificationLists;
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
    /// The work panicked: our mistake. Its claim, if it has one, waits for the lease.
    #[error("the work on a message broke off")]
    BrokeOff(#[from] JoinError),
}

/// What a delivery needs.
pub struct Delivery {
    /// Who we are to the other instances.
    pub holder: Holder,
    /// Messages.
    pub notifications: Notifications,
    /// Where they are listed.
    pub lists: NotificationLists,
    /// Whose end was told.
    pub announced: Announced,
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
    /// How many messages may be on their way at a time.
    pub pace: Arc<Pace>,
    /// Messages in hand.
    pub in_hand: TaskTracker,
}

impl Delivery {
    /// Brings the message about `cause` as far as it gets now, and writes it down unless it is there.
    pub async fn deliver(
        self: &Arc<Self>,
        cause: Cause,
        traceparent: Option<&str>,
    ) -> Result<Progress, DeliveryError> {
        let traceparent = traceparent.map(ToOwned::to_owned);
        self.in_turn(
            move |delivery| async move { delivery.begin(cause, traceparent.as_deref()).await },
        )
        .await
    }

    /// Brings a message that is known by its id as far as it gets now. One that is not there has nothing to do.
    pub async fn advance_by_id(self: &Arc<Self>, id: Uuid) -> Result<Progress, DeliveryError> {
        self.in_turn(move |delivery| async move {
            match delivery.notifications.find_newest(id).await? {
                Some(message) => delivery.advance(message).await,
                None => Ok(Progress::Settled),
            }
        })
        .await
    }

    /// Waits for a turn and has it as long as the work goes on, which is a task of its own: it goes on when this is
    /// dropped, as a consumer does whose partition is taken away. Work that broke off with a claim in hand would have
    /// its mail wait for the lease, or, behind the dialogue, leave a mail that is out and a row that does not say so.
    async fn in_turn<F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<Progress, DeliveryError>
    where
        F: Future<Output = Result<Progress, DeliveryError>> + Send + 'static,
    {
        let turn = self.pace.turn().await;
        let work = work(Arc::clone(self));
        let task = async move {
            let _turn = turn;
            work.await
        };
        self.in_hand.spawn(task).await?
    }

    async fn begin(
        &self,
        cause: Cause,
        traceparent: Option<&str>,
    ) -> Result<Progress, DeliveryError> {
        // As precise as its column: the lists sort by it.
        let now = Timestamp::now_millis();
        let new = Notification::queued(cause, traceparent, now);
        let id = new.id;
        // A replay of the topic asks for what is there: a read, not a transaction for each record.
        let known = match self.pace.watch(self.notifications.find(id)).await? {
            // What is settled stays so, and a read that misses a newer write misses nothing.
            Some(found) => Some(found).filter(|found| found.status != Status::Queued),
            None => match self.draft(&new, now).await? {
                Draft::Ready(letter) => {
                    let begun = new.begun(self.claim(now), letter.content);
                    if self.notifications.insert(&begun).await? {
                        return self.attempt(begun, letter.outgoing).await;
                    }
                    None
                }
                Draft::Dead(_) | Draft::NotYet => {
                    self.notifications.insert(&new).await?.then_some(new)
                }
            },
        };
        let message = match known {
            Some(known) => known,
            None => self.newest(id).await?,
        };
        if message.status == Status::Queued {
            // Whoever wrote it down may have died before it was listed.
            self.list(&message).await?;
        }
        self.advance(message).await
    }

    /// Does the next step of a message until none is left that can be done now.
    async fn advance(&self, mut message: Notification) -> Result<Progress, DeliveryError> {
        loop {
            let (id, now) = (message.id, Timestamp::now_millis());
            match message.next_step(&self.holder, now) {
                Step::Nothing => return Ok(Progress::Settled),
                Step::Announce => {
                    if !self.announced.contains(id).await? {
                        // A version of before looked for an erasure behind the end only.
                        self.forget_if_erased(&message).await?;
                        self.announce(&message).await?;
                    }
                    return Ok(Progress::Settled);
                }
                Step::WaitUntil(at) => return Ok(Progress::Later(at)),
                Step::Send => match self.draft(&message, now).await? {
                    Draft::Ready(letter) => {
                        let begun = message.begun(self.claim(now), letter.content);
                        if self.notifications.claim(&begun).await? {
                            return self.attempt(begun, letter.outgoing).await;
                        }
                    }
                    Draft::Dead(reason) => {
                        // An attempt that broke off may have left it to be done.
                        self.list(&message).await?;
                        let reason = Some(reason.to_owned());
                        let failed = message.settled(Status::Failed, reason, now);
                        if self.notifications.settle_unsent(&failed).await? {
                            self.announce(&failed).await?;
                            return Ok(Progress::Settled);
                        }
                    }
                    Draft::NotYet => return Ok(Progress::Later(message.next_try(now))),
                },
            }
            // Somebody else was faster.
            message = self.newest(id).await?;
        }
    }

    /// The row of a message that somebody has written down.
    async fn newest(&self, id: Uuid) -> Result<Notification, CqlError> {
        let found = self.notifications.find_newest(id).await?;
        found.ok_or_else(|| CqlError::answer("a message that is neither written down nor there"))
    }

    fn claim(&self, now: Timestamp) -> Claim {
        Claim {
            id: new_id(),
            holder: self.holder.clone(),
            until: now + CLAIM_LEASE,
        }
    }

    /// Puts the message on its lists, and takes the person out of it who was erased while it was written.
    ///
    /// In this order: who is erased after the look is looked for on the lists, and the message is found there.
    async fn list(&self, message: &Notification) -> Result<(), CqlError> {
        self.lists.put(message).await?;
        self.forget_if_erased(message).await
    }

    /// Tells how the message ended.
    async fn announce(&self, ended: &Notification) -> Result<(), DeliveryError> {
        self.announcer.announce(ended).await?;
        self.announced.put(ended.id, Timestamp::now()).await?;
        metrics::counter!(
            "notifications_total",
            "template" => ended.cause.template().as_str(),
            "status" => ended.status.as_str(),
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
