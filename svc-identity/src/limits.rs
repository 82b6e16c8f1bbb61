//! How often somebody may try, so that passwords cannot be guessed nor people flooded with mail.
//!
//! Who is attacked must not be locked out by it. Passwords are counted for each pair of account and address: who guesses
//! from elsewhere uses up nothing of the owner's. Against who guesses from many addresses there is one count for the
//! account over all of them, and it does not hold for an address from which the account was signed in to lately
//! (`store/recent_sign_ins.rs`).
//!
//! Mails that strangers ask for are counted for the e-mail address, so that nobody is flooded, and those that somebody asks for
//! who is signed in for the account: strangers use up nothing of the owner's.
//!
//! Whether an address has an account changes nothing here, so that a limit tells nobody who has one. `platform::limit` says
//! what is kept, and for how long.

use std::net::{IpAddr, Ipv6Addr};

use platform::limit::{Buckets, TooOften};
use uuid::Uuid;

use crate::config::LimitConfig;
use crate::domain::email::EmailKey;

/// The limits.
pub struct Limits {
    sign_ins: Buckets,
    guesses: Buckets,
    strangers: Buckets,
    registrations: Buckets,
    mail_requests: Buckets,
    mails: Buckets,
    own_mails: Buckets,
    wished: Buckets,
    links: Buckets,
    case_messages: Buckets,
    exports: Buckets,
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
            own_mails: Buckets::new("own-mails", config.mails),
            wished: Buckets::new("wished-mails", config.mails),
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

    /// Somebody who is not signed in asks for a mail to `account`.
    pub fn mail(&self, account: &EmailKey) -> Result<(), TooOften> {
        self.mails.take(account)
    }

    /// A user asks for a mail to the address that he has.
    pub fn own_mail(&self, user_id: Uuid) -> Result<(), TooOften> {
        self.own_mails.take(user_id)
    }

    /// A user asks for a mail to the address that he wishes for. Many accounts flood nobody's mailbox either; without one
    /// nobody uses up anything here.
    pub fn wish(&self, user_id: Uuid, wished: &EmailKey) -> Result<(), TooOften> {
        self.own_mails.take(user_id)?;
        self.wished.take(wished)
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

#[cfg(test)]
mod tests;
