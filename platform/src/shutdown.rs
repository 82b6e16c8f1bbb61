//! Stopping: one token that everything long-lived listens to. The order of a service's stop is: not ready, accept no
//! more, finish the requests, finish the batch and commit, flush.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code after a second signal: 128 + SIGINT, as a shell would report it.
pub const EXIT_CODE_FORCED: i32 = 130;

/// Says when to stop. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// One that only [`Shutdown::trigger`] sets off, for tests and parts of a service.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM or SIGINT sets off. A second signal ends the process at once: whoever asks twice no longer
    /// wants to wait for the batch.
    ///
    /// Must be called within a Tokio runtime.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::new();
        let trigger = shutdown.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            };
            let signal = next().await;
            tracing::info!(signal, "stopping; a second signal ends at once");
            trigger.trigger();
            let signal = next().await;
            tracing::warn!(signal, "second signal: ending at once");
            std::process::exit(EXIT_CODE_FORCED);
        });
        Ok(shutdown)
    }

    /// Asks everything to stop. Doing it again changes nothing.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Whether the stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves when the stop is asked for, at once if it was.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// The token, for `select!`, children and `CancellationToken::run_until_cancelled`.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_of_the_stop() {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        let token = shutdown.token();
        assert!(!other.is_requested());
        shutdown.trigger();
        shutdown.trigger();
        other.requested().await;
        assert!(other.is_requested() && token.is_cancelled());
    }
}
