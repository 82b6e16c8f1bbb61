//! Looks again at messages that had to wait. Every instance runs it; the claim on a message's row keeps them apart.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use platform::clock::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::delivery::{DeliveryError, Progress, chain};
use crate::store::due::{BUCKETS, Due};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// How long it rests when the mail server, the database or the broker is away.
const REST: Duration = Duration::from_secs(10);
/// Messages in hand at a time.
const AT_ONCE: usize = 4;

/// Runs until `stop`.
pub async fn run(app: &App, stop: CancellationToken) {
    loop {
        // What is dropped waits without a claim, or goes on by itself and is looked at again.
        let Some(round) = stop.run_until_cancelled(round(app)).await else {
            return;
        };
        let pause = match round {
            Ok(Round::Done) => EVERY,
            Ok(Round::ServerAway(reason)) => {
                tracing::warn!(reason, "due messages wait");
                REST
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "due messages wait");
                REST
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

enum Round {
    Done,
    ServerAway(String),
}

async fn round(app: &App) -> Result<Round, DeliveryError> {
    for bucket in 0..BUCKETS {
        let due = app.due.list(bucket, Timestamp::now()).await?;
        let mut work = stream::iter(due)
            .map(|due| look(app, due))
            .buffer_unordered(AT_ONCE);
        // Leaving early drops what is in hand; a message goes on by itself and is looked at again.
        while let Some(looked) = work.next().await {
            if let Progress::ServerAway(reason) = looked? {
                return Ok(Round::ServerAway(reason));
            }
        }
    }
    Ok(Round::Done)
}

async fn look(app: &App, due: Due) -> Result<Progress, DeliveryError> {
    let progress = app.delivery.advance_by_id(due.id).await?;
    match &progress {
        Progress::Settled => app.due.delete(due).await?,
        Progress::Later(at) => {
            // The new entry first: between the two the message must not be without one.
            app.due.put(Due { at: *at, ..due }).await?;
            app.due.delete(due).await?;
        }
        Progress::ServerAway(_) => {}
    }
    Ok(progress)
}
