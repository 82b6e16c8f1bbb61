//! A few threads with a queue of limited length.
//!
//! Not tokio's blocking pool: that grows to hundreds of threads, and each hash takes 19 MiB.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Why a password was not looked at.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Too many are waiting.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    /// The work itself failed: a bug or a broken row.
    #[error("hash a password")]
    Failed(#[source] anyhow::Error),
}

impl PoolError {
    pub(super) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }
}

/// The threads end when the pool is dropped.
pub(super) struct Pool {
    jobs: SyncSender<Job>,
}

impl Pool {
    /// `threads` that work, `queue` jobs that wait.
    pub(super) fn new(threads: usize, queue: usize) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || work(&waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Runs `work` on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (done, result) = oneshot::channel();
        let job = move || {
            // Whoever asked may have hung up while it waited.
            if !done.is_closed() {
                _ = done.send(work());
            }
        };
        match self.jobs.try_send(Box::new(job)) {
            Ok(()) => result.await.map_err(PoolError::failed),
            Err(TrySendError::Full(_)) => {
                metrics::counter!("passwords_refused_total").increment(1);
                Err(PoolError::Overloaded)
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(PoolError::failed(anyhow::anyhow!("no thread is left")))
            }
        }
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match next {
            Ok(job) => {
                // A job that panics drops its answer, which tells who asked; the thread goes on with the next one.
                _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let pool = Pool::new(1, 1).unwrap();
        let (started, has_started) = channel();
        let (go, may_go) = channel::<()>();
        let busy = pool.run(move || {
            started.send(()).unwrap();
            may_go.recv().unwrap();
            1
        });
        let mut busy = Box::pin(busy);
        assert!(futures::poll!(&mut busy).is_pending());
        has_started.recv().unwrap();
        let mut waits = Box::pin(pool.run(|| 2));
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(matches!(pool.run(|| 3).await, Err(PoolError::Overloaded)));
        go.send(()).unwrap();
        assert_eq!((busy.await.unwrap(), waits.await.unwrap()), (1, 2));
        assert_eq!(pool.run(|| 4).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_panic_takes_no_thread_away() {
        let pool = Pool::new(1, 1).unwrap();
        let failed = pool.run(|| panic!("on purpose")).await;
        assert!(matches!(failed, Err::<(), _>(PoolError::Failed(_))));
        assert_eq!(pool.run(|| 1).await.unwrap(), 1);
    }
}
