//! Buyers, made over REST like everybody else.

use std::time::Duration;

use anyhow::Context as _;
use e2e::{Api, Stack, users};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

/// Access tokens live 15 minutes; this much is left for a clock that differs and a run that is late.
const TOKEN_IS_GOOD_FOR: Duration = Duration::from_secs(14 * 60);
/// One password hash takes 25 ms of a core; more at once only wait for each other.
const AT_ONCE: usize = 4;

/// Registered buyers and their access tokens.
pub struct Buyers {
    identity: Api,
    emails: Vec<String>,
    tokens: Vec<String>,
    signed_in: Instant,
}

impl Buyers {
    /// Registers this many and signs them in.
    pub async fn register(stack: &Stack, count: usize) -> anyhow::Result<Self> {
        let identity = stack.identity().clone();
        let emails: Vec<String> = (0..count).map(|_| users::fresh_email("buyer")).collect();
        futures::stream::iter(&emails)
            .map(|email| users::register(&identity, email, "Bench Buyer", "en"))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        let signed_in = Instant::now();
        let tokens = sign_in(&identity, &emails).await?;
        Ok(Self {
            identity,
            emails,
            tokens,
            signed_in,
        })
    }

    /// Their addresses.
    pub fn emails(&self) -> &[String] {
        &self.emails
    }

    /// A token for each of the first `count` buyers, good for at least `duration`.
    pub async fn tokens(&mut self, count: usize, duration: Duration) -> anyhow::Result<&[String]> {
        if self.signed_in.elapsed() + duration > TOKEN_IS_GOOD_FOR {
            self.signed_in = Instant::now();
            self.tokens = sign_in(&self.identity, &self.emails).await?;
        }
        self.tokens.get(..count).context("more clients than buyers")
    }
}

async fn sign_in(identity: &Api, emails: &[String]) -> anyhow::Result<Vec<String>> {
    futures::stream::iter(emails)
        .map(async |email| {
            let user = users::sign_in(identity, email).await?;
            let user = user.with_context(|| format!("{email} cannot sign in"))?;
            anyhow::Ok(user.token)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}
