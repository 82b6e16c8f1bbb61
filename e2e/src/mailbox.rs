//! The mailbox into which the stack's mail server puts everything.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use crate::api::Api;
use crate::wait::eventually;

/// A client of the mailbox page's JSON.
#[derive(Debug, Clone)]
pub struct Mailbox {
    api: Api,
}

/// One mail.
#[derive(Debug, Clone, Deserialize)]
pub struct Mail {
    /// Its id in the mailbox.
    pub id: String,
    /// Subject.
    #[serde(default)]
    pub subject: String,
    /// The plain part.
    #[serde(default)]
    pub text: Option<String>,
    /// The HTML part.
    #[serde(default)]
    pub html: Option<String>,
    #[serde(default)]
    to: Vec<Address>,
}

#[derive(Debug, Clone, Deserialize)]
struct Address {
    address: String,
}

impl Mail {
    /// The first recipient's address.
    pub fn recipient(&self) -> &str {
        self.to.first().map_or("", |to| to.address.as_str())
    }

    fn is_to(&self, address: &str) -> bool {
        self.to
            .iter()
            .any(|to| to.address.eq_ignore_ascii_case(address))
    }

    /// Whether the subject or the plain part has this text.
    pub fn says(&self, text: &str) -> bool {
        self.subject.contains(text) || self.text.as_deref().is_some_and(|body| body.contains(text))
    }
}

impl Mailbox {
    /// The mailbox at `url`.
    pub fn new(url: &str) -> Self {
        Self { api: Api::new(url) }
    }

    /// All mail to `address`, oldest first.
    pub async fn to(&self, address: &str) -> anyhow::Result<Vec<Mail>> {
        let answer = self.api.get("/email").send().await?.expect(200)?;
        let mut mails: Vec<Mail> =
            serde_json::from_value(answer).context("the mailbox lists something else than mail")?;
        mails.retain(|mail| mail.is_to(address));
        Ok(mails)
    }

    /// The first mail to `address` that fits, waited for.
    pub async fn wait_for(
        &self,
        address: &str,
        deadline: Duration,
        fits: impl Fn(&Mail) -> bool,
    ) -> anyhow::Result<Mail> {
        eventually(deadline, &format!("a mail to {address}"), async || {
            Ok(self.to(address).await?.into_iter().find(|mail| fits(mail)))
        })
        .await
    }

    /// The mail as it went over the wire.
    pub async fn source(&self, mail: &Mail) -> anyhow::Result<Vec<u8>> {
        let answer = self
            .api
            .get(format!("/email/{}/source", mail.id))
            .send()
            .await?;
        anyhow::ensure!(answer.status == 200, "{answer}");
        Ok(answer.bytes)
    }

    /// Where a person reads the mail.
    pub fn page_of(&self, mail: &Mail) -> String {
        format!("{}/#/email/{}", self.api.base(), mail.id)
    }
}
