//! What mails say: one template for each mail, language and part, written out in full, so that a translator sees
//! sentences and not fragments.

mod amount;
mod date;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};
use platform::http::Language;
use url::Url;
use uuid::Uuid;

use crate::domain::event::Event;
use crate::domain::notification::Cause;
use crate::domain::order::PaidOrder;
use crate::domain::recipient::Recipient;

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
const TEMPLATES: [(&str, &str); 14] = templates! {
    "layout.html" "layout.txt"
    "en/kinds.txt" "en/payment-confirmed.subject.txt" "en/payment-confirmed.txt" "en/payment-confirmed.html"
    "fr/kinds.txt" "fr/payment-confirmed.subject.txt" "fr/payment-confirmed.txt" "fr/payment-confirmed.html"
    "es/kinds.txt" "es/payment-confirmed.subject.txt" "es/payment-confirmed.txt" "es/payment-confirmed.html"
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

    /// The mail about `cause`, in the recipient's language; English where there is none.
    pub fn render(
        &self,
        cause: &Cause,
        recipient: &Recipient,
        event: &Event,
    ) -> Result<Mail, RenderError> {
        let language = Language::from_locale(&recipient.locale).unwrap_or_default();
        let Cause::PaymentConfirmed(order) = cause;
        let values = self.payment_confirmed(language, order, recipient, event);
        let part = |ending: &str| {
            let name = format!("{language}/{}.{ending}", cause.template().as_str());
            self.templates.get_template(&name)?.render(&values)
        };
        Ok(Mail {
            language,
            subject: one_line(&part("subject.txt")?),
            text: part("txt")?,
            html: part("html")?,
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
            event => context! {
                name => one_line(&event.name),
                starts => date::format(event.starts_at, &event.time_zone, language),
                venue => one_line(&event.venue_name),
                address => one_line(&event.venue_address),
                city => one_line(&event.venue_city),
            },
            order => context! {
                number => &order.number,
                total => amount::format(order.total, language),
                url => self.order_url(order.id),
            },
            tickets,
        }
    }

    /// As it is, since mail readers that look for links in HTML do not all undo `&#x2f;`: a parsed URL and an id have
    /// nothing in them to escape.
    fn order_url(&self, order_id: Uuid) -> Value {
        let base = self.public_url.as_str().trim_end_matches('/');
        Value::from_safe_string(format!("{base}/orders/{order_id}"))
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
