//! The parts of a service that run for as long as it does: consumers, jobs, threads.
//!
//! None of them ends by itself. When one does, by an error or a panic, the service would go on answering, and look whole,
//! without what that part did. So it stops, with an error that names the part, and whoever looks after processes starts
//! it anew.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::io;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::shutdown::Shutdown;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Name = Cow<'static, str>;

/// A part of the service ended before it was asked to, or by an error.
#[derive(Debug, thiserror::Error)]
#[error("{part} ended: {why}")]
pub struct PartEnded {
    /// Its name.
    part: Name,
    /// The error with its causes, or what the panic said.
    why: String,
}

/// The parts, by name.
#[derive(Default)]
pub struct Parts {
    tasks: JoinSet<Outcome>,
    names: HashMap<Id, Name>,
}

impl Parts {
    /// Runs a part that cannot fail.
    pub fn spawn(
        &mut self,
        name: impl Into<Name>,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        self.try_spawn(name, async move {
            part.await;
            Ok::<(), io::Error>(())
        });
    }

    /// Runs a part that can.
    pub fn try_spawn<E: Error + Send + Sync + 'static>(
        &mut self,
        name: impl Into<Name>,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let task = self.tasks.spawn(async move { Ok(part.await?) });
        self.names.insert(task.id(), name.into());
    }

    /// Runs a part on a thread of its own. It is not aborted: it must end by itself when the service stops.
    pub fn try_spawn_blocking<E: Error + Send + Sync + 'static>(
        &mut self,
        name: impl Into<Name>,
        part: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) {
        let task = self.tasks.spawn_blocking(move || Ok(part()?));
        self.names.insert(task.id(), name.into());
    }

    /// For a part that runs elsewhere: its end, also by a panic, drops the guard and counts like that of the others.
    pub fn watch(&mut self, name: impl Into<Name>) -> DropGuard {
        let ended = CancellationToken::new();
        let alive = ended.clone().drop_guard();
        self.spawn(name, async move { ended.cancelled().await });
        alive
    }

    /// Waits until all have ended, which were asked to before.
    pub async fn ended(&mut self) {
        while let Some(end) = self.next().await {
            end.tell_if_failed();
        }
    }

    /// Ends all at once.
    pub fn abort_all(&mut self) {
        self.tasks.abort_all();
    }

    async fn next(&mut self) -> Option<End> {
        let (id, outcome) = match self.tasks.join_next_with_id().await? {
            Ok((id, outcome)) => (id, Ok(outcome)),
            Err(error) => (error.id(), Err(error)),
        };
        let part = self.names.remove(&id).unwrap_or_default();
        Some(End { part, outcome })
    }
}

/// How a part ended.
struct End {
    part: Name,
    outcome: Result<Outcome, JoinError>,
}

impl End {
    /// A part that was asked to stop may do so, but not by an error.
    fn tell_if_failed(self) {
        match self.outcome {
            Ok(Ok(())) => {}
            Err(ref error) if error.is_cancelled() => {}
            Ok(Err(_)) | Err(_) => {
                tracing::error!(error = %PartEnded::from(self), "while stopping");
            }
        }
    }
}

impl From<End> for PartEnded {
    fn from(End { part, outcome }: End) -> Self {
        let why = match outcome {
            Ok(Ok(())) => "nobody had asked it to".to_owned(),
            Ok(Err(error)) => {
                let causes = std::iter::successors(error.source(), |&cause| cause.source());
                causes.fold(error.to_string(), |why, cause| format!("{why}: {cause}"))
            }
            Err(error) => error.to_string(),
        };
        Self { part, why }
    }
}

/// Awaits `serving`. A part that ends before the stop was asked for asks for it, and is the error.
pub async fn serve(
    serving: impl Future<Output = io::Result<()>>,
    parts: &mut Parts,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => Ok(served?),
        ended = first_too_early(parts, shutdown) => {
            tracing::error!(error = %ended, "stopping");
            shutdown.trigger();
            serving.await?;
            Err(ended.into())
        }
    }
}

async fn first_too_early(parts: &mut Parts, shutdown: &Shutdown) -> PartEnded {
    loop {
        match parts.next().await {
            Some(end) if !shutdown.is_requested() => return end.into(),
            Some(end) => end.tell_if_failed(),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    async fn until_stopped(shutdown: Shutdown) -> io::Result<()> {
        shutdown.requested().await;
        Ok(())
    }

    /// What the service says that it ended by.
    async fn error_of(parts: &mut Parts) -> String {
        let shutdown = Shutdown::new();
        let served = serve(until_stopped(shutdown.clone()), parts, &shutdown).await;
        assert!(shutdown.is_requested());
        served.expect_err("not whole").to_string()
    }

    #[tokio::test]
    async fn a_part_that_panics_stops_the_service_and_is_named() {
        let mut parts = Parts::default();
        parts.spawn("the other", std::future::pending());
        parts.spawn("the clock", async { panic!("a rule broke") });
        let error = error_of(&mut parts).await;
        assert!(error.starts_with("the clock ended: "), "{error}");
        assert!(error.contains("a rule broke"), "{error}");
    }

    #[tokio::test]
    async fn so_does_one_that_returns() {
        let mut parts = Parts::default();
        parts.spawn("a job", async {});
        assert_eq!(
            error_of(&mut parts).await,
            "a job ended: nobody had asked it to"
        );
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no schema")]
    struct NoSchema(#[source] io::Error);

    #[tokio::test]
    async fn an_error_is_told_with_its_causes() {
        let failed = || Err(NoSchema(io::Error::other("the registry is away")));
        let mut parts = Parts::default();
        parts.try_spawn("a table", async move { failed() });
        let told = "a table ended: no schema: the registry is away";
        assert_eq!(error_of(&mut parts).await, told);
        let mut parts = Parts::default();
        parts.try_spawn_blocking("a table", failed);
        assert_eq!(error_of(&mut parts).await, told);
    }

    #[tokio::test]
    async fn and_a_thread_that_panics() {
        let mut parts = Parts::default();
        let alive = parts.watch("the engine");
        let thread = std::thread::spawn(move || {
            let _alive = alive;
            panic!("a rule broke");
        });
        let error = error_of(&mut parts).await;
        assert!(error.starts_with("the engine ended"), "{error}");
        thread.join().expect_err("it panicked");
    }

    #[tokio::test]
    async fn what_ends_because_the_service_stops_is_no_error() {
        let shutdown = Shutdown::new();
        let mut parts = Parts::default();
        let stop = shutdown.token();
        parts.spawn("a job", async move { stop.cancelled().await });
        let alive = parts.watch("a thread");
        shutdown.trigger();
        drop(alive);
        // Until both ends were looked at.
        while !parts.tasks.is_empty() {
            let mut too_early = Box::pin(first_too_early(&mut parts, &shutdown));
            let found = std::future::poll_fn(|context| {
                Poll::Ready(too_early.as_mut().poll(context).is_ready())
            });
            assert!(!found.await, "an end that was asked for");
            drop(too_early);
            tokio::task::yield_now().await;
        }
        assert!(parts.names.is_empty());
    }
}
