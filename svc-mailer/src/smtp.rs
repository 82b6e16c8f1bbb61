//! The mail server.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{Address, Message, SmtpTransport, Transport as _};
use platform::clock::Timestamp;
use uuid::Uuid;

use crate::config::SmtpConfig;
use crate::render::Mail;

/// How long the server may take to connect, and to give each reply. A reply to the final dot that is waited for too
/// short is a mail that comes twice (RFC 5321, 4.5.3.2.6), so it is long.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// Most connections kept: as many as mails may ever be on their way at once.
pub const MAX_CONNECTIONS: usize = 16;
/// An idle connection is closed after this time, before most servers do it.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// Why a mail did not get through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The server will never take this mail.
    #[error("{0}")]
    Permanent(String),
    /// The server does not take this mail now.
    #[error("{0}")]
    Temporary(String),
    /// The server takes no mail at all now: it is down, or does not let us in.
    #[error("{0}")]
    Away(String),
}

/// A mail with its envelope.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its Message-ID follows from it, so that a second copy can be told as one.
    pub id: Uuid,
    /// Name of the recipient.
    pub name: String,
    /// Address of the recipient.
    pub address: String,
    /// When it is sent.
    pub date: Timestamp,
    /// What it says.
    pub mail: Mail,
}

/// Sends mails.
#[derive(Clone)]
pub struct Smtp {
    // lettre's blocking client, since its async one has no time-out but for connecting: a server that goes silent
    // would hold a mail for ever, and a dialogue that is cut from outside would leave its connection in the pool.
    transport: SmtpTransport,
    from: Mailbox,
}

impl Smtp {
    /// Connects with the first mail.
    pub fn new(config: &SmtpConfig) -> Self {
        let pool = PoolConfig::new()
            .max_size(MAX_CONNECTIONS as u32)
            .idle_timeout(POOL_IDLE);
        let transport = config
            .transport
            .clone()
            .timeout(Some(REPLY_TIMEOUT))
            .pool_config(pool)
            .build();
        Self {
            transport,
            from: config.from.clone(),
        }
    }

    /// Hands the mail over. Dropping the future does not stop the dialogue.
    pub async fn send(&self, outgoing: Outgoing) -> Result<(), Refusal> {
        let started = std::time::Instant::now();
        let message = self.message(outgoing)?;
        let transport = self.transport.clone();
        let sent = tokio::task::spawn_blocking(move || converse(&transport, &message))
            .await
            .unwrap_or_else(|_| Err(Refusal::Away("the dialogue broke off".to_owned())));
        metrics::histogram!("smtp_send_duration_seconds", "outcome" => outcome(&sent))
            .record(started.elapsed());
        sent
    }

    fn message(&self, outgoing: Outgoing) -> Result<Message, Refusal> {
        let address: Address = outgoing
            .address
            .parse()
            .map_err(|_| Refusal::Permanent("the address is not valid".to_owned()))?;
        let millis = u64::try_from(outgoing.date.as_millis()).unwrap_or_default();
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(outgoing.name), address))
            .subject(outgoing.mail.subject)
            .message_id(Some(format!(
                "<{}@{}>",
                outgoing.id,
                self.from.email.domain()
            )))
            .date(UNIX_EPOCH + Duration::from_millis(millis))
            .header(AutoSubmitted)
            .header(ContentLanguage(outgoing.mail.language.as_str()))
            .multipart(MultiPart::alternative_plain_html(
                outgoing.mail.text,
                outgoing.mail.html,
            ))
            .map_err(|error| Refusal::Permanent(format!("the mail cannot be written: {error}")))
    }
}

fn converse(transport: &SmtpTransport, message: &Message) -> Result<(), Refusal> {
    let Err(error) = transport.send(message) else {
        return Ok(());
    };
    let refused = match refusal(&error) {
        // A server that is well without this mail does not keep the mails behind it waiting.
        Refusal::Away(reason) if transport.test_connection().unwrap_or(false) => {
            Refusal::Temporary(reason)
        }
        refused => refused,
    };
    Err(refused)
}

fn outcome(sent: &Result<(), Refusal>) -> &'static str {
    match sent {
        Ok(()) => "sent",
        Err(Refusal::Permanent(_)) => "permanent",
        Err(Refusal::Temporary(_)) => "temporary",
        Err(Refusal::Away(_)) => "away",
    }
}

fn refusal(error: &Error) -> Refusal {
    match error.status() {
        Some(code) => by_code(code.into(), &cause(error)),
        // The client's own: a connection, a time-out, TLS, or an answer that is not SMTP.
        None => Refusal::Away(format!("smtp: {error}")),
    }
}

/// What a reply means (RFC 5321, 4.2.3; RFC 4954, 6).
fn by_code(code: u16, text: &str) -> Refusal {
    let reason = reason(code, text);
    match code {
        // 421: the server is closing; 454: it cannot check our password now.
        421 | 454 => Refusal::Away(reason),
        400..=499 => Refusal::Temporary(reason),
        // About our commands, our TLS and our password, and the same for every mail: giving mails up for it would
        // lose them all to one wrong setting.
        500..=504 | 521 | 523 | 530 | 534 | 535 | 538 => Refusal::Away(reason),
        _ => Refusal::Permanent(reason),
    }
}

/// The codes of a reply without its text, which may repeat the address.
fn reason(code: u16, text: &str) -> String {
    let is_enhanced = |word: &&str| {
        let parts: Vec<&str> = word.split('.').collect();
        parts.len() == 3
            && parts.iter().all(|part| {
                (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
            })
    };
    match text.split_whitespace().find(is_enhanced) {
        Some(enhanced) => format!("smtp {code} {enhanced}"),
        None => format!("smtp {code}"),
    }
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(String::new, ToString::to_string)
}

/// RFC 3834: no holiday notice should come back.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// RFC 3282, for screen readers.
#[derive(Clone)]
struct ContentLanguage(&'static str);

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Err("only written".into())
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::http::Language;

    fn smtp() -> Smtp {
        Smtp::new(&SmtpConfig {
            transport: SmtpTransport::builder_dangerous("127.0.0.1"),
            from: "Tickets <tickets@example.com>".parse().unwrap(),
        })
    }

    fn outgoing(name: &str, address: &str) -> Outgoing {
        Outgoing {
            id: Uuid::from_u128(7),
            name: name.into(),
            address: address.into(),
            date: Timestamp::from_seconds(1_777_658_400),
            mail: Mail {
                language: Language::Fr,
                subject: "Vos billets pour « Été »".into(),
                text: "Bonjour\n".into(),
                html: "<p>Bonjour</p>".into(),
                kept_text: "Bonjour\n".into(),
            },
        }
    }

    #[test]
    fn a_mail_has_both_parts_and_a_message_id_that_stays() {
        let message = smtp()
            .message(outgoing(
                "Zoë \"Z\" <Bcc: eve@example.com>",
                "zoe@example.com",
            ))
            .unwrap();
        let bytes = message.formatted();
        let mail = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(
            mail.message_id(),
            Some("00000000-0000-0000-0000-000000000007@example.com")
        );
        assert_eq!(mail.subject(), Some("Vos billets pour « Été »"));
        assert_eq!(mail.body_text(0).unwrap().trim(), "Bonjour");
        assert_eq!(mail.body_html(0).unwrap().trim(), "<p>Bonjour</p>");
        assert_eq!(
            mail.to().unwrap().first().unwrap().address(),
            Some("zoe@example.com")
        );
        assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-05-01T18:00:00Z");
        assert_eq!(message.envelope().to().len(), 1);
        assert!(mail.bcc().is_none());
    }

    #[test]
    fn an_address_that_is_none_is_a_permanent_refusal() {
        for address in ["", "alice", "alice@", "a@b\r\nBcc: eve@example.com"] {
            let refused = smtp().message(outgoing("Alice", address));
            assert!(matches!(refused, Err(Refusal::Permanent(_))), "{address}");
        }
    }

    #[test]
    fn replies_are_about_the_mail_or_about_the_server() {
        for (code, text, expected) in [
            (
                550,
                "5.1.1 <bob@example.com>: unknown",
                Refusal::Permanent("smtp 550 5.1.1".into()),
            ),
            (554, "no", Refusal::Permanent("smtp 554".into())),
            (
                450,
                "4.2.0 10.0.0.1 greylisted",
                Refusal::Temporary("smtp 450 4.2.0".into()),
            ),
            (452, "full", Refusal::Temporary("smtp 452".into())),
            (421, "closing", Refusal::Away("smtp 421".into())),
            (
                535,
                "5.7.8 wrong password",
                Refusal::Away("smtp 535 5.7.8".into()),
            ),
            (
                530,
                "5.7.0 STARTTLS first",
                Refusal::Away("smtp 530 5.7.0".into()),
            ),
        ] {
            assert_eq!(by_code(code, text), expected);
        }
    }
}
