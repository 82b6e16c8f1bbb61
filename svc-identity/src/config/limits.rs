//! How often somebody may try.

use platform::config::{Env, Rate};

/// The limits; an address is an IPv4 address, or a /64 of IPv6, which is one household.
#[derive(Debug, Clone, Copy)]
pub struct LimitConfig {
    /// Passwords presented from one address (`IDENTITY_LIMIT_SIGN_INS`).
    pub sign_ins: Rate,
    /// Passwords presented for one account from one address (`IDENTITY_LIMIT_GUESSES`).
    pub guesses: Rate,
    /// Passwords presented for one account, from all addresses that it did not sign in from lately
    /// (`IDENTITY_LIMIT_STRANGERS`).
    pub strangers: Rate,
    /// Registrations from one address (`IDENTITY_LIMIT_REGISTRATIONS`).
    pub registrations: Rate,
    /// Mails asked for from one address by people who are not signed in (`IDENTITY_LIMIT_MAIL_REQUESTS`).
    pub mail_requests: Rate,
    /// Mails with a link (`IDENTITY_LIMIT_MAILS`): to one e-mail address, asked for by people who are not signed in; asked for
    /// by one account that is; and to one e-mail address that is wished for.
    pub mails: Rate,
    /// Links of mails used from one address (`IDENTITY_LIMIT_LINKS`).
    pub links: Rate,
    /// Messages to support of one account (`IDENTITY_LIMIT_CASE_MESSAGES`).
    pub case_messages: Rate,
    /// Exports of one account (`IDENTITY_LIMIT_EXPORTS`).
    pub exports: Rate,
}

impl LimitConfig {
    /// A person stays far below the defaults; a company or a train behind one address stays below those of addresses.
    pub(super) fn from_env(env: &mut Env) -> Option<Self> {
        let sign_ins = env.or("IDENTITY_LIMIT_SIGN_INS", Rate::new(60, 60));
        let guesses = env.or("IDENTITY_LIMIT_GUESSES", Rate::new(10, 5 * 60));
        let strangers = env.or("IDENTITY_LIMIT_STRANGERS", Rate::new(30, 15 * 60));
        let registrations = env.or("IDENTITY_LIMIT_REGISTRATIONS", Rate::new(30, 10 * 60));
        let mail_requests = env.or("IDENTITY_LIMIT_MAIL_REQUESTS", Rate::new(20, 10 * 60));
        let mails = env.or("IDENTITY_LIMIT_MAILS", Rate::new(5, 60 * 60));
        let links = env.or("IDENTITY_LIMIT_LINKS", Rate::new(30, 10 * 60));
        let case_messages = env.or("IDENTITY_LIMIT_CASE_MESSAGES", Rate::new(30, 60 * 60));
        let exports = env.or("IDENTITY_LIMIT_EXPORTS", Rate::new(5, 60 * 60));
        Some(Self {
            sign_ins: sign_ins?,
            guesses: guesses?,
            strangers: strangers?,
            registrations: registrations?,
            mail_requests: mail_requests?,
            mails: mails?,
            links: links?,
            case_messages: case_messages?,
            exports: exports?,
        })
    }
}
