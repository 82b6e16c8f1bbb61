//! How often somebody may try.

use platform::config::{Env, Rate};

/// The limits; an address is an IPv4 address, or a /64 of IPv6, which is one household.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../README.md");
    const API: &str = include_str!("../../../docs/API.md");
    const PREFIX: &str = "| `IDENTITY_LIMIT_";
    const TABLE: &str = "| what | counted for each | default |";
    /// The row of the limit that svc-checkout has.
    const VOUCHERS: &str = "orders with a voucher";

    fn read(settings: &[(String, String)]) -> Option<LimitConfig> {
        let env = Env::from_map(settings.iter().cloned());
        env.read(LimitConfig::from_env).ok()
    }

    /// As a row of the table in docs/API.md begins, and what it must end with.
    fn documented() -> [(&'static str, Rate); 11] {
        let LimitConfig {
            sign_ins,
            guesses,
            strangers,
            registrations,
            mail_requests,
            mails,
            links,
            case_messages,
            exports,
        } = read(&[]).expect("defaults");
        [
            ("passwords presented", sign_ins),
            ("the same", guesses),
            ("sign-ins of strangers", strangers),
            ("registrations", registrations),
            ("password resets asked for", mail_requests),
            ("mails with a link to choose a password", mails),
            ("mails with links asked for by who is signed in", mails),
            ("mails with a link to another address", mails),
            ("links of mails used", links),
            ("messages to support", case_messages),
            ("exports", exports),
        ]
    }

    fn in_words(rate: Rate) -> String {
        match (rate.times, rate.per.as_secs()) {
            (times, 60) => format!("{times} a minute"),
            (times, 3_600) => format!("{times} an hour"),
            (times, secs) => format!("{times} in {} minutes", secs / 60),
        }
    }

    #[test]
    fn the_settings_in_the_readme_have_their_defaults() {
        let rows = README.lines().filter(|line| line.starts_with(PREFIX));
        let settings: Vec<(String, String)> = rows
            .map(|row| {
                let mut quoted = row.split('`').skip(1).step_by(2).map(str::to_owned);
                quoted.next().zip(quoted.next()).expect("name and default")
            })
            .collect();
        assert_eq!(settings.len(), 9);
        assert_eq!(read(&settings), read(&[]));
        for (name, _) in settings {
            let unreadable = [(name.clone(), "often".to_owned())];
            assert_eq!(read(&unreadable), None, "there is no {name}");
        }
    }

    #[test]
    fn the_figures_in_the_api_document_are_the_defaults() {
        let (_, table) = API.split_once(TABLE).expect("the table of limits");
        let rows = table
            .lines()
            .skip(2)
            .map_while(|row| row.strip_prefix("| "));
        let rows: Vec<&str> = rows.filter(|row| !row.starts_with(VOUCHERS)).collect();
        let documented = documented();
        assert_eq!(rows.len(), documented.len(), "{rows:#?}");
        for (row, (begins, rate)) in rows.iter().zip(documented) {
            let ends = format!(" | {} |", in_words(rate));
            assert!(
                row.starts_with(begins) && row.ends_with(&ends),
                "{row}, {ends}"
            );
        }
    }
}
