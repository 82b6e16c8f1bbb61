//! How often somebody may try, so that passwords cannot be guessed nor people flooded with mail.
//!
//! Who is attacked must not be locked out by it. Passwords are counted for each pair of account and address: who guesses
//! from elsewhere uses up nothing of the owner's. Against who guesses from many addresses there is one count for the
//! account over all of them, and it does not hold for an address from which the account was signed in to lately
//! (`store/recent_sign_ins.rs`).
//!
//! Whether an address has an account changes nothing here, so that a limit tells nobody who has one. The counts are in
//! memory: of several instances each has its own, and a restart begins anew. What they keep is bounded; when it is full,
//! what was seen least often is forgotten first, so that who tries a lot stays counted.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use platform::http::{Code, Problem};
use uuid::Uuid;

use crate::config::{LimitConfig, Rate};
use crate::domain::email::EmailKey;

/// Most buckets of one limit, of some 200 bytes each.
const MAX_BUCKETS: u64 = 50_000;

/// The limits.
pub struct Limits {
    sign_ins: Buckets,
    guesses: Buckets,
    strangers: Buckets,
    registrations: Buckets,
    mail_requests: Buckets,
    mails: Buckets,
    links: Buckets,
    case_messages: Buckets,
    exports: Buckets,
}

/// Somebody tried too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too often; again in {wait:?}")]
pub struct TooOften {
    wait: Duration,
}

impl From<TooOften> for Problem {
    fn from(TooOften { wait }: TooOften) -> Self {
        // Rounded up: who comes back a moment too early is refused once more.
        let secs = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
        let secs = secs.saturating_add(1);
        Self::new(Code::TooManyRequests)
            .detail(format!("try again in {secs} s"))
            .retry_after(secs)
    }
}

impl Limits {
    /// No bucket is in use yet.
    pub fn new(config: &LimitConfig) -> Self {
        Self {
            sign_ins: Buckets::new("sign-ins", config.sign_ins),
            guesses: Buckets::new("guesses", config.guesses),
            strangers: Buckets::new("strangers", config.strangers),
            registrations: Buckets::new("registrations", config.registrations),
            mail_requests: Buckets::new("mail-requests", config.mail_requests),
            mails: Buckets::new("mails", config.mails),
            links: Buckets::new("links", config.links),
            case_messages: Buckets::new("case-messages", config.case_messages),
            exports: Buckets::new("exports", config.exports),
        }
    }

    /// Somebody at `client` presents a password for `account`.
    pub fn password(&self, client: IpAddr, account: &EmailKey) -> Result<(), TooOften> {
        let network = network(client);
        self.sign_ins.take(network)?;
        self.guesses.take((network, account))
    }

    /// Somebody presents a password for `account`. It does not hold for who signed in from the same address lately.
    pub fn stranger(&self, account: &EmailKey) -> Result<(), TooOften> {
        self.strangers.take(account)
    }

    /// Somebody at `client` registers.
    pub fn registration(&self, client: IpAddr) -> Result<(), TooOften> {
        self.registrations.take(network(client))
    }

    /// Somebody at `client` who is not signed in asks for a mail.
    pub fn mail_request(&self, client: IpAddr) -> Result<(), TooOften> {
        self.mail_requests.take(network(client))
    }

    /// A mail to `account` is asked for.
    pub fn mail(&self, account: &EmailKey) -> Result<(), TooOften> {
        self.mails.take(account)
    }

    /// Somebody at `client` comes by the link in a mail.
    pub fn link(&self, client: IpAddr) -> Result<(), TooOften> {
        self.links.take(network(client))
    }

    /// Somebody wants all that is held about him.
    pub fn export(&self, user_id: Uuid) -> Result<(), TooOften> {
        self.exports.take(user_id)
    }

    /// A customer writes to support.
    pub fn case_message(&self, user_id: Uuid) -> Result<(), TooOften> {
        self.case_messages.take(user_id)
    }
}

/// What counts as one address: whoever has one of IPv6 has all of a /64.
pub fn network(client: IpAddr) -> IpAddr {
    const SLASH_64: u128 = !0 << 64;
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & SLASH_64).into(),
    }
}

/// A bucket for each key.
struct Buckets {
    limit: &'static str,
    quota: Quota,
    /// By the key's hash, which is as small as a key gets. It has a secret of this process: nobody can aim at the bucket
    /// of another.
    buckets: Cache<u64, Arc<DefaultDirectRateLimiter>>,
    hasher: RandomState,
    clock: DefaultClock,
}

impl Buckets {
    fn new(limit: &'static str, rate: Rate) -> Self {
        let quota = Quota::with_period(rate.per / rate.times.get())
            .expect("a time that can be divided")
            .allow_burst(rate.times);
        Self {
            limit,
            quota,
            // Nobody has touched it for so long: it is as full as a new one.
            buckets: Cache::builder()
                .max_capacity(MAX_BUCKETS)
                .time_to_idle(rate.per)
                .build(),
            hasher: RandomState::new(),
            clock: DefaultClock::default(),
        }
    }

    fn take(&self, key: impl Hash) -> Result<(), TooOften> {
        let fresh = || Arc::new(RateLimiter::direct(self.quota));
        let bucket = self.buckets.get_with(self.hasher.hash_one(key), fresh);
        bucket.check().map_err(|until| {
            metrics::counter!("limited_total", "limit" => self.limit).increment(1);
            let wait = until.wait_time_from(self.clock.now());
            TooOften { wait }
        })
    }
}

#[cfg(test)]
mod tests;
