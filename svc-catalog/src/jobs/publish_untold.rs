//! Publishes events anew whose newest record was written when records said less.

use std::collections::HashSet;
use std::future::ready;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use platform::intent::{Intents, PublishError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::live_events::LiveEvents;
use crate::publish::EventPublication;

/// Publications at a time. Each is two reads at SERIAL and two records.
const AT_ONCE: usize = 16;
/// After a failure: a neighbour is away.
const PAUSE: Duration = Duration::from_secs(5);

/// Publishes until `stop`, and says once that the events are complete. That several instances publish the same event harms
/// nobody.
pub async fn run(
    live: &LiveEvents,
    intents: &Intents,
    publication: &EventPublication,
    stop: CancellationToken,
) {
    let mut untold = live.watch_untold();
    let work = async {
        // Behind the old record of an event, the topic may have a new one.
        let mut caught_up = live.caught_up().subscribe();
        while caught_up.wait_for(|caught_up| *caught_up).await.is_ok() {
            let ids = untold.borrow_and_update().clone();
            if !publish(&ids, intents, publication).await {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            live.set_complete();
            if untold.changed().await.is_err() {
                return;
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Whether all were published. A publication tells its event to `live` itself.
async fn publish(ids: &HashSet<Uuid>, intents: &Intents, publication: &EventPublication) -> bool {
    let publications = ids.iter().map(|id| publish_one(*id, intents, publication));
    stream::iter(publications.collect::<Vec<_>>())
        .buffer_unordered(AT_ONCE)
        .fold(true, |all, published| ready(all && published))
        .await
}

async fn publish_one(id: Uuid, intents: &Intents, publication: &EventPublication) -> bool {
    // With an intent, for a newer version may pass, and who is killed then has published an old one last.
    let published: Result<(), PublishError> = async {
        let intent = intents.begin(id).await?;
        intents.settle(publication, intent).await
    }
    .await;
    if let Err(error) = &published {
        tracing::warn!(%error, event_id = %id, "not told anew yet");
    }
    published.is_ok()
}
