//! How an event changes: a publication is owed, the row moves by one version, the publication is made.

use std::time::{Duration, Instant};

use platform::cql::CqlError;
use platform::http::{Code, Problem};
use platform::intent::{Intent, PublishError};
use uuid::Uuid;

use crate::app::App;
use crate::checkout::{Answer, CheckoutError};
use crate::domain::event::Event;

/// No further try is begun after this time. With the last try's own time-out it stays within what the sweeper grants a
/// handler before it takes over.
pub(crate) const DEADLINE: Duration = Duration::from_secs(4);
/// Pause after a lost race, times the number of races lost and up to [`PAUSE_SPREAD`].
const PAUSE: Duration = Duration::from_millis(2);
/// Those who lost the same race wait for different times.
const PAUSE_SPREAD: u128 = 8;

impl App {
    /// Writes a new event and publishes it. First of all its organizer's list, so that no event is missing there.
    pub async fn create(&self, event: &Event) -> Result<(), Problem> {
        self.by_organizer.add(event.organizer_id, event.id).await?;
        let intent = self.intents.begin(event.id).await?;
        match self.events.insert(event, intent.id).await {
            Ok(true) => {}
            Ok(false) => return Err(Problem::internal(anyhow::anyhow!("a new id was taken"))),
            Err(error) => {
                // It may have happened all the same.
                let stored = self.events.find_serial(event.id).await?;
                if stored.is_none_or(|stored| stored.operation_id != intent.id) {
                    return Err(error.into());
                }
            }
        }
        self.settle(intent).await
    }

    /// Replaces the event by what `decide` makes of it, publishes that and returns it.
    ///
    /// `decide` sees the newest version, again each time that another change came first, and changes nothing itself.
    /// `None` from it: the event is already as it is wanted, and is published once more, since whoever repeats a change
    /// may do so because the first try got no further than the row.
    pub async fn change(
        &self,
        id: Uuid,
        decide: impl Fn(&Event) -> Result<Option<Event>, Problem>,
    ) -> Result<Event, Problem> {
        let found = self.events.find(id).await?;
        let before = found.ok_or(Code::NotFound)?;
        // Most refusals end here, before anything was written.
        let decided = decide(&before)?;
        // Also to publish what is there: who stalls with an old version in his hands, lets a newer one pass and dies when
        // he has sent his own leaves somebody to send the newer one again.
        let intent = self.intents.begin(id).await?;
        let Some(after) = decided else {
            self.settle(intent).await?;
            return Ok(before);
        };
        let changed = self.replace(intent, before, after, decide).await?;
        self.settle(intent).await?;
        Ok(changed)
    }

    /// Deletes the event, unless `check` refuses what it is by now.
    pub async fn delete(
        &self,
        id: Uuid,
        check: impl Fn(&Event) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let found = self.events.find_serial(id).await?;
        let event = found.ok_or(Code::NotFound)?.event;
        check(&event)?;
        let intent = self.intents.begin(id).await?;
        let vouchers = self.owe_vouchers(id).await?;
        let deleted = match self.events.delete(&event).await {
            Ok(deleted) => deleted,
            // It may have happened all the same: then nothing is left.
            Err(error) => match self.events.find_serial(id).await? {
                None => true,
                Some(_) => return Err(error.into()),
            },
        };
        if !deleted {
            self.forget(intent).await;
            // Changed in this moment, or deleted by somebody else.
            let left = self.events.find_serial(id).await?;
            return Err(Problem::new(left.map_or(Code::NotFound, |_| Code::Stale)));
        }
        self.settle(intent).await?;
        self.settle_vouchers(vouchers).await
    }

    /// Replaces `before` by `after`, or what has become of it meanwhile by what `decide` makes of that.
    async fn replace(
        &self,
        intent: Intent,
        mut before: Event,
        mut after: Event,
        decide: impl Fn(&Event) -> Result<Option<Event>, Problem>,
    ) -> Result<Event, Problem> {
        let started = Instant::now();
        let mut races: u32 = 0;
        loop {
            let failure = match self.try_replace(intent, &before, &after).await? {
                Tried::Done => return Ok(after),
                Tried::Lost => None,
                Tried::Failed(error) => Some(error),
                Tried::BelowSold(detail) => {
                    self.forget(intent).await;
                    let problem = Problem::new(Code::BelowSold);
                    return Err(detail.into_iter().fold(problem, Problem::detail));
                }
            };
            if started.elapsed() >= DEADLINE {
                return Err(failure.map_or_else(contended, Problem::from));
            }
            races += 1;
            tokio::time::sleep(pause(intent.id, races)).await;
            // One that timed out may have happened: this read settles whether it has.
            let stored = self.events.find_serial(before.id).await?;
            let stored = stored.ok_or(Code::NotFound)?;
            if stored.operation_id == intent.id {
                return Ok(stored.event);
            }
            match decide(&stored.event) {
                Ok(Some(next)) => (before, after) = (stored.event, next),
                Ok(None) => return Ok(stored.event),
                Err(refusal) => {
                    self.forget(intent).await;
                    return Err(refusal);
                }
            }
        }
    }

    /// Where `after` sells less, the box office has to grant it before the row may say so. If this ends here, the sweeper
    /// finds the intent and takes the grant back.
    async fn try_replace(
        &self,
        intent: Intent,
        before: &Event,
        after: &Event,
    ) -> Result<Tried, Problem> {
        let lowered = after.lowered_since(before);
        if !lowered.is_empty() {
            let asked = self.checkout.lower(after.id, after.version, &lowered).await;
            match asked.map_err(box_office)? {
                Answer::Granted => {}
                // What it has not heard of yet, it will in a moment.
                Answer::Outdated | Answer::NotKnown => return Ok(Tried::Lost),
                Answer::BelowSold(detail) => return Ok(Tried::BelowSold(detail)),
            }
        }
        Ok(match self.events.replace(before, after, intent.id).await {
            Ok(true) => Tried::Done,
            Ok(false) => Tried::Lost,
            Err(error) => Tried::Failed(error),
        })
    }

    async fn settle(&self, intent: Intent) -> Result<(), Problem> {
        self.intents
            .settle(&*self.publication, intent)
            .await
            .map_err(publication_failed)
    }

    /// Nothing was written, so nothing is owed. Failing costs one publication too many.
    async fn forget(&self, intent: Intent) {
        if let Err(error) = self.intents.done(intent).await {
            tracing::debug!(%error, "the sweeper will forget this intent");
        }
    }
}

/// What a try to replace an event came to.
enum Tried {
    Done,
    /// Somebody else was first.
    Lost,
    /// It may have happened.
    Failed(CqlError),
    /// More is held and sold than would be left.
    BelowSold(Option<String>),
}

pub(crate) fn pause(operation_id: Uuid, races: u32) -> Duration {
    let share = u32::try_from(operation_id.as_u128() % PAUSE_SPREAD).unwrap_or_default() + 1;
    PAUSE * share * races.min(8)
}

/// The row says it, Kafka does not yet: a repeat, or the sweeper, brings it there.
pub(crate) fn publication_failed(error: PublishError) -> Problem {
    match error {
        PublishError::Cql(error) => error.into(),
        error => Problem::unavailable(error),
    }
}

/// Without the box office nobody knows what is sold, so nothing is taken away.
fn box_office(error: CheckoutError) -> Problem {
    Problem::unavailable(error)
        .detail("fewer tickets need the box office, which is away; nothing was changed")
}

fn contended() -> Problem {
    Problem::new(Code::Overloaded).detail("too many changes of this event at a time")
}
