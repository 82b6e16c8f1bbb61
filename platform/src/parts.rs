//! The parts of a service that run for as long as it does: consumers, jobs, threads.
//!
//! None of them ends by itself. When one does, by an error or a panic, the service would go on answering, and look whole,
//! without what that part did. So it stops, with an error, and whoever looks after processes starts it anew.

use std::fmt::Debug;
use std::io;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::shutdown::Shutdown;

/// A part of the service ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("a part of the service ended: {0}")]
pub struct PartEnded(String);

/// Awaits `serving`. A part that ends before the stop was asked for asks for it, and is the error.
pub async fn serve<T: Debug + 'static>(
    serving: impl Future<Output = io::Result<()>>,
    parts: &mut JoinSet<T>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => Ok(served?),
        ended = first_too_early(parts, shutdown) => {
            let ended = PartEnded(match ended {
                Ok(outcome) => format!("{outcome:?}"),
                Err(error) => error.to_string(),
            });
            tracing::error!(error = %ended, "stopping");
            shutdown.trigger();
            serving.await?;
            Err(ended.into())
        }
    }
}

async fn first_too_early<T: 'static>(
    parts: &mut JoinSet<T>,
    shutdown: &Shutdown,
) -> Result<T, JoinError> {
    loop {
        match parts.join_next().await {
            Some(ended) if !shutdown.is_requested() => return ended,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// For a part that is no task of `parts`: its end, also by a panic, drops the guard and counts like theirs.
pub fn watched(parts: &mut JoinSet<()>) -> DropGuard {
    let ended = CancellationToken::new();
    let alive = ended.clone().drop_guard();
    parts.spawn(async move { ended.cancelled().await });
    alive
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until_stopped(shutdown: Shutdown) -> io::Result<()> {
        shutdown.requested().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_part_that_panics_stops_the_service() {
        let shutdown = Shutdown::new();
        let mut parts = JoinSet::new();
        parts.spawn(std::future::pending());
        parts.spawn(async { panic!("a rule broke") });
        let served = serve(until_stopped(shutdown.clone()), &mut parts, &shutdown).await;
        let error = served.expect_err("not whole").to_string();
        assert!(error.contains("panicked"), "{error}");
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn so_does_one_that_returns() {
        let shutdown = Shutdown::new();
        let mut parts = JoinSet::new();
        parts.spawn(async { Err::<(), _>("no schema") });
        let served = serve(until_stopped(shutdown.clone()), &mut parts, &shutdown).await;
        let error = served.expect_err("not whole").to_string();
        assert!(error.contains("no schema"), "{error}");
    }

    #[tokio::test]
    async fn and_a_thread_that_panics() {
        let shutdown = Shutdown::new();
        let mut parts = JoinSet::new();
        let alive = watched(&mut parts);
        let thread = std::thread::spawn(move || {
            let _alive = alive;
            panic!("a rule broke");
        });
        let served = serve(until_stopped(shutdown.clone()), &mut parts, &shutdown).await;
        served.expect_err("not whole");
        thread.join().expect_err("it panicked");
    }

    #[tokio::test]
    async fn what_ends_because_the_service_stops_is_no_error() {
        let shutdown = Shutdown::new();
        let mut parts = JoinSet::new();
        let stop = shutdown.token();
        parts.spawn(async move { stop.cancelled().await });
        let alive = watched(&mut parts);
        let asked = shutdown.clone();
        let serving = async {
            asked.trigger();
            drop(alive);
            tokio::task::yield_now().await;
            Ok(())
        };
        serve(serving, &mut parts, &shutdown).await.expect("whole");
    }
}
