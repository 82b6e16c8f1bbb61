//! What mails say: one template for each mail, language and part, written out in full, so that a translator sees
//! sentences and not fragments.

mod amount;
mod date;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};
use platform::http::Language;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use uuid::Uuid;

use crate::domain::account_change::AccountChange;
use crate::domain::account_link::{AccountLink, LinkKind};
use crate::domain::ended_order::{EndReason, EndedOrder};
use crate::domain::event::Event;
use crate::domain::notification::Template;
use crate::domain::order::PaidOrder;
use crate::domain::recipient::Recipient;

/// Stands in the history in place of a link that proves something.
const HIDDEN: &str = "[…]";

/// What a mail is written from.
pub enum About<'a> {
    /// An order that is paid, and its event.
    PaidOrder(&'a PaidOrder, &'a Event),
    /// An order that ended before its time, and its event.
    EndedOrder(&'a EndedOrder, &'a Event),
    /// A link, and the token in it.
    Link(&'a AccountLink, &'a SecretString),
    /// Another password.
    PasswordChanged(&'a AccountChange),
    /// Another address.
    EmailChanged(&'a AccountChange),
}

/// A mail without its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The language it is written in.
    pub language: Language,
    /// Subject, on one line.
    pub subject: String,
    /// For readers of text.
    pub text: String,
    /// For readers of HTML.
    pub html: String,
    /// The text as the history keeps it: without what only the recipient may know.
    pub kept_text: String,
}

/// A template does not fit what it is given.
#[derive(Debug, thiserror::Error)]
#[error("a mail cannot be rendered")]
pub struct RenderError(#[from] minijinja::Error);

macro_rules! templates {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../templates/", $name)))),*]
    };
}

/// What ends in .html is escaped, by the rule of the engine; a name with markup in it stays a name.
const TEMPLATES: [(&str, &str); 83] = templates! {
    "layout.html" "layout.txt"
    "en/kinds.txt"
    "en/payment-confirmed.subject.txt" "en/payment-confirmed.txt" "en/payment-confirmed.html"
    "en/order-ended.txt" "en/order-ended.html"
    "en/event-cancelled.subject.txt" "en/event-cancelled.txt" "en/event-cancelled.html"
    "en/order-refunded.subject.txt" "en/order-refunded.txt" "en/order-refunded.html"
    "en/email-verification.subject.txt" "en/email-verification.txt" "en/email-verification.html"
    "en/password-reset.subject.txt" "en/password-reset.txt" "en/password-reset.html"
    "en/password-changed.subject.txt" "en/password-changed.txt" "en/password-changed.html"
    "en/email-change.subject.txt" "en/email-change.txt" "en/email-change.html"
    "en/email-changed.subject.txt" "en/email-changed.txt" "en/email-changed.html"
    "fr/kinds.txt"
    "fr/payment-confirmed.subject.txt" "fr/payment-confirmed.txt" "fr/payment-confirmed.html"
    "fr/order-ended.txt" "fr/order-ended.html"
    "fr/event-cancelled.subject.txt" "fr/event-cancelled.txt" "fr/event-cancelled.html"
    "fr/order-refunded.subject.txt" "fr/order-refunded.txt" "fr/order-refunded.html"
    "fr/email-verification.subject.txt" "fr/email-verification.txt" "fr/email-verification.html"
    "fr/password-reset.subject.txt" "fr/password-reset.txt" "fr/password-reset.html"
    "fr/password-changed.subject.txt" "fr/password-changed.txt" "fr/password-changed.html"
    "fr/email-change.subject.txt" "fr/email-change.txt" "fr/email-change.html"
    "fr/email-changed.subject.txt" "fr/email-changed.txt" "fr/email-changed.html"
    "es/kinds.txt"
    "es/payment-confirmed.subject.txt" "es/payment-confirmed.txt" "es/payment-confirmed.html"
    "es/order-ended.txt" "es/order-ended.html"
    "es/event-cancelled.subject.txt" "es/event-cancelled.txt" "es/event-cancelled.html"
    "es/order-refunded.subject.txt" "es/order-refunded.txt" "es/order-refunded.html"
    "es/email-verification.subject.txt" "es/email-verification.txt" "es/email-verification.html"
    "es/password-reset.subject.txt" "es/password-reset.txt" "es/password-reset.html"
    "es/password-changed.subject.txt" "es/password-changed.txt" "es/password-changed.html"
    "es/email-change.subject.txt" "es/email-change.txt" "es/email-change.html"
    "es/email-changed.subject.txt" "es/email-changed.txt" "es/email-changed.html"
};

/// Writes mails.
pub struct Renderer {
    templates: Environment<'static>,
    public_url: Url,
}

impl Renderer {
    /// Links in mails begin with `public_url`.
    pub fn new(public_url: Url) -> Result<Self, RenderError> {
        let mut templates = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?;
        templates.set_syntax(syntax);
        // A misspelt variable fails a test and is not a gap in a mail.
        templates.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
        for (name, source) in TEMPLATES {
            templates.add_template(name, source)?;
        }
        Ok(Self {
            templates,
            public_url,
        })
    }

    /// The mail, in the recipient's language; English where there is none.
    pub fn render(&self, about: &About<'_>, recipient: &Recipient) -> Result<Mail, RenderError> {
        let language = Language::from_locale(&recipient.locale).unwrap_or_default();
        let (template, values, kept) = match about {
            About::PaidOrder(order, event) => (
                Template::PaymentConfirmed,
                self.payment_confirmed(language, order, recipient, event),
                None,
            ),
            About::EndedOrder(order, event) => (
                match order.reason {
                    EndReason::EventCancelled => Template::EventCancelled,
                    EndReason::Refunded => Template::OrderRefunded,
                },
                self.order_ended(language, order, recipient, event),
                None,
            ),
            About::Link(link, token) => (
                match link.kind {
                    LinkKind::VerifyEmail => Template::EmailVerification,
                    LinkKind::ResetPassword { .. } => Template::PasswordReset,
                    LinkKind::ChangeEmail { .. } => Template::EmailChange,
                },
                link_values(language, link, recipient, self.link_url(link, token)),
                Some(link_values(language, link, recipient, Value::from(HIDDEN))),
            ),
            About::PasswordChanged(change) => (
                Template::PasswordChanged,
                self.account_changed(language, change, recipient),
                None,
            ),
            About::EmailChanged(change) => (
                Template::EmailChanged,
                self.account_changed(language, change, recipient),
                None,
            ),
        };
        let part = |ending: &str, values: &Value| {
            let name = format!("{language}/{}.{ending}", template.as_str());
            self.templates.get_template(&name)?.render(values)
        };
        let text = part("txt", &values)?;
        Ok(Mail {
            language,
            subject: one_line(&part("subject.txt", &values)?),
            html: part("html", &values)?,
            kept_text: match kept {
                Some(kept) => part("txt", &kept)?,
                None => text.clone(),
            },
            text,
        })
    }

    fn payment_confirmed(
        &self,
        language: Language,
        order: &PaidOrder,
        recipient: &Recipient,
        event: &Event,
    ) -> Value {
        let tickets: Vec<_> = order
            .tickets
            .iter()
            .map(|ticket| {
                context! {
                    number => ticket.number,
                    kind => one_line(&ticket.kind),
                    price => amount::format(ticket.price, language),
                }
            })
            .collect();
        context! {
            language => language.as_str(),
            name => one_line(&recipient.name),
            event => event_values(language, event),
            order => context! {
                number => &order.number,
                voucher => order.voucher.as_ref().map(|used| context! {
                    code => &used.code,
                    discount => amount::format(used.discount, language),
                }),
                is_free => order.total.amount == 0,
                total => amount::format(order.total, language),
                url => self.order_url(order.id),
            },
            tickets,
        }
    }

    fn order_ended(
        &self,
        language: Language,
        order: &EndedOrder,
        recipient: &Recipient,
        event: &Event,
    ) -> Value {
        context! {
            language => language.as_str(),
            name => one_line(&recipient.name),
            event => event_values(language, event),
            order => context! {
                number => &order.number,
                money_back => order.money_back.map(|money| amount::format(money, language)),
                url => self.order_url(order.id),
            },
        }
    }

    fn account_changed(
        &self,
        language: Language,
        change: &AccountChange,
        recipient: &Recipient,
    ) -> Value {
        context! {
            language => language.as_str(),
            name => one_line(&recipient.name),
            // People are anywhere, and nobody has told us where.
            changed => date::format(change.at, "UTC", language),
            // As in `order_url`.
            url => Value::from_safe_string(self.public_url.to_string()),
        }
    }

    /// The token is behind the `#`: it goes to no server but in the body of the request that uses it, and into no log.
    fn link_url(&self, link: &AccountLink, token: &SecretString) -> Value {
        let page = match link.kind {
            LinkKind::VerifyEmail => "verify-email",
            LinkKind::ResetPassword { .. } => "reset-password",
            LinkKind::ChangeEmail { .. } => "change-email",
        };
        let base = self.public_url.as_str().trim_end_matches('/');
        // What is no letter or digit has no place in a token of ours, and none in HTML that is not escaped.
        let token: String = token
            .expose_secret()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .collect();
        Value::from_safe_string(format!("{base}/{page}#token={token}"))
    }

    /// As it is, since mail readers that look for links in HTML do not all undo `&#x2f;`: a parsed URL and an id have
    /// nothing in them to escape.
    fn order_url(&self, order_id: Uuid) -> Value {
        let base = self.public_url.as_str().trim_end_matches('/');
        Value::from_safe_string(format!("{base}/orders/{order_id}"))
    }
}

fn event_values(language: Language, event: &Event) -> Value {
    context! {
        name => one_line(&event.name),
        starts => date::format(event.starts_at, &event.time_zone, language),
        venue => one_line(&event.venue_name),
        address => one_line(&event.venue_address),
        city => one_line(&event.venue_city),
    }
}

fn link_values(language: Language, link: &AccountLink, recipient: &Recipient, url: Value) -> Value {
    context! {
        language => language.as_str(),
        name => one_line(&recipient.name),
        link => context! {
            url,
            // People are anywhere, and nobody has told us where.
            expires => date::format(link.expires_at, "UTC", language),
        },
    }
}

/// What other people typed stays on its line: a break in a name must not begin a new paragraph, or a header.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
