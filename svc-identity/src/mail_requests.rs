//! The topic `identity.mail`: what the mailer is asked to send. Its records bear secrets.
//!
//! A mail is owed from the moment at which an intent says so. The link in it is made when it is published, so that it
//! is fresh whenever that happens; only its hash is kept. A crash between the publication and the end of the intent
//! makes a second mail with another link, and both are good until one of them is used.

use std::sync::Arc;
use std::time::Duration;

use platform::avro::{Encoder, Registry, RegistryError};
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::cql::CqlError;
use platform::ids::{derived_id, new_id};
use platform::intent::{Intent, Intents, SWEEP_AFTER, SWEEP_EVERY};
use platform::kafka::headers::RecordHeaders;
use platform::kafka::producer::{ProduceError, Producer};
use schemas::Record;
use schemas::identity::{EmailChangeRequested, EmailVerificationRequested, PasswordResetRequested};
use schemas::topics::{IDENTITY_MAIL, Partitions};
use scylla::client::session::Session;
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::account::Account;
use crate::domain::mail_link::{LINK_LIFETIME, MailLink, Purpose};
use crate::store::email_claims::EmailClaims;
use crate::store::mail_links::MailLinks;
use crate::store::users::Users;
use crate::tokens::OpaqueToken;
use crate::user_topic::SOURCE;

/// Mails that are published at a time beside the requests that asked for them. One more waits for the sweeper.
const AT_ONCE: usize = 64;

/// A mail that is owed.
#[derive(Debug, Clone, Copy)]
pub struct Owed {
    purpose: Purpose,
    intent: Intent,
}

/// Why a mail was not asked for. It stays owed.
#[derive(Debug, thiserror::Error)]
pub enum MailRequestError {
    /// The database.
    #[error(transparent)]
    Store(#[from] CqlError),
    /// The broker.
    #[error(transparent)]
    Produce(#[from] ProduceError),
    /// The system has no random bytes.
    #[error("make a token")]
    Random(#[from] aws_lc_rs::error::Unspecified),
}

/// What is produced.
pub struct MailEncoders {
    verification: Encoder<EmailVerificationRequested>,
    reset: Encoder<PasswordResetRequested>,
    change: Encoder<EmailChangeRequested>,
}

impl MailEncoders {
    /// Registers the records; again is the same.
    pub async fn register(registry: &Registry) -> Result<Self, RegistryError> {
        Ok(Self {
            verification: registry.register().await?,
            reset: registry.register().await?,
            change: registry.register().await?,
        })
    }
}

/// Asks for mails.
pub struct MailRequests {
    producer: Producer,
    encoders: MailEncoders,
    users: Arc<Users>,
    claims: Arc<EmailClaims>,
    /// The links in them.
    pub links: MailLinks,
    verifications: Intents,
    resets: Intents,
    changes: Intents,
    at_once: Arc<Semaphore>,
}

impl MailRequests {
    /// Prepares the statements.
    pub async fn new(
        session: &Arc<Session>,
        users: Arc<Users>,
        claims: Arc<EmailClaims>,
        producer: Producer,
        encoders: MailEncoders,
    ) -> Result<Self, CqlError> {
        Ok(Self {
            producer,
            encoders,
            users,
            claims,
            links: MailLinks::new(Arc::clone(session)).await?,
            verifications: Intents::in_table(Arc::clone(session), "verification_intents").await?,
            resets: Intents::in_table(Arc::clone(session), "reset_intents").await?,
            changes: Intents::in_table(Arc::clone(session), "address_change_intents").await?,
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Writes down that the user is to get a mail. Nobody needs to have the id: it takes the same one write.
    pub async fn owe(&self, purpose: Purpose, user_id: Uuid) -> Result<Owed, CqlError> {
        let intent = self.intents(purpose).begin(user_id).await?;
        Ok(Owed { purpose, intent })
    }

    /// Forgets a mail that is no longer owed.
    pub async fn forget(&self, owed: Owed) -> Result<(), CqlError> {
        self.intents(owed.purpose).done(owed.intent).await
    }

    /// Asks for the mail beside the request, whose answer does not wait for it. What fails is for the sweeper.
    pub fn settle_soon(self: &Arc<Self>, owed: Owed) {
        let Ok(permit) = Arc::clone(&self.at_once).try_acquire_owned() else {
            return;
        };
        let requests = Arc::clone(self);
        let context = RequestContext::current();
        tokio::spawn(async move {
            let _permit = permit;
            let settled = match context {
                Some(context) => context.scope(requests.settle(owed)).await,
                None => requests.settle(owed).await,
            };
            if let Err(error) = settled {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a mail is still owed");
            }
        });
    }

    /// Asks for what is owed for a while, until `stop`. In several instances at a time it may ask twice.
    pub async fn run_sweeper(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
            if let Err(error) = self.sweep(SWEEP_AFTER).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "mails are still owed");
            }
        }
    }

    async fn sweep(&self, age: Duration) -> Result<(), MailRequestError> {
        for purpose in [
            Purpose::VerifyEmail,
            Purpose::ResetPassword,
            Purpose::ChangeEmail,
        ] {
            for intent in self.intents(purpose).all_owed(age).await? {
                self.settle(Owed { purpose, intent }).await?;
            }
        }
        Ok(())
    }

    async fn settle(&self, owed: Owed) -> Result<(), MailRequestError> {
        let user_id = owed.intent.aggregate_id;
        match self.users.find_newest(user_id).await? {
            Some(account) if self.is_due(owed.purpose, &account).await? => {
                self.ask(owed.purpose, &account).await?;
            }
            None if owed.purpose == Purpose::ResetPassword => self.ask_nobody(user_id).await?,
            _ => {}
        }
        self.forget(owed).await?;
        metrics::counter!("mail_requests_settled_total").increment(1);
        Ok(())
    }

    async fn is_due(&self, purpose: Purpose, account: &Account) -> Result<bool, CqlError> {
        Ok(match (purpose, &account.wish) {
            (Purpose::VerifyEmail, _) => !account.user.email_verified,
            (Purpose::ResetPassword, _) => true,
            (Purpose::ChangeEmail, None) => false,
            // Whoever has the address should not be bothered with what cannot be.
            (Purpose::ChangeEmail, Some(wish)) => {
                let holder = self.claims.find(&wish.email.key()).await?;
                wish.until > Timestamp::now() && holder.is_none_or(|id| id == account.user.id)
            }
        })
    }

    /// For nobody: a link that nobody hears of and that leads nowhere, so that the database has as much to do as for a user, and
    /// how busy it is tells nobody which of the two it was.
    async fn ask_nobody(&self, id: Uuid) -> Result<(), MailRequestError> {
        let now = Timestamp::now();
        let token = OpaqueToken::generate(new_id())?;
        let link = MailLink {
            id: token.id,
            user_id: id,
            secret_hash: token.hash(),
            epoch: 0,
            wish_id: None,
            expires_at: now + LINK_LIFETIME,
        };
        self.links
            .insert(Purpose::ResetPassword, &link, now)
            .await?;
        Ok(())
    }

    async fn ask(&self, purpose: Purpose, account: &Account) -> Result<(), MailRequestError> {
        let now = Timestamp::now();
        let token = OpaqueToken::generate(new_id())?;
        let user_id = account.user.id;
        let wish = account.wish.as_ref();
        let wish = wish.filter(|_| purpose == Purpose::ChangeEmail);
        let expires_at = wish.map_or(now + LINK_LIFETIME, |wish| wish.until);
        let wish_id = wish.map(|wish| wish.id);
        let link = MailLink {
            id: token.id,
            user_id,
            secret_hash: token.hash(),
            epoch: account.epoch,
            wish_id,
            expires_at,
        };
        self.links.insert(purpose, &link, now).await?;
        let (token_id, token) = (token.id, token.text().expose_secret().to_owned());
        let (requested_at, expires_at) = (now.as_micros(), expires_at.as_micros());
        match (purpose, wish_id) {
            (Purpose::ChangeEmail, None) => Ok(()),
            (Purpose::ChangeEmail, Some(wish_id)) => {
                let record = EmailChangeRequested {
                    user_id,
                    wish_id,
                    token_id,
                    token,
                    requested_at,
                    expires_at,
                };
                let payload = self.encoders.change.encode(&record);
                self.produce::<EmailChangeRequested>(&link, now, &payload)
                    .await
            }
            (Purpose::VerifyEmail, _) => {
                let record = EmailVerificationRequested {
                    user_id,
                    token_id,
                    token,
                    requested_at,
                    expires_at,
                };
                let payload = self.encoders.verification.encode(&record);
                self.produce::<EmailVerificationRequested>(&link, now, &payload)
                    .await
            }
            (Purpose::ResetPassword, _) => {
                let record = PasswordResetRequested {
                    user_id,
                    token_id,
                    token,
                    requested_at,
                    expires_at,
                    // A mailer that lags may know the address of before, and somebody else may read mail there by now.
                    user_version: Some(account.user.version),
                };
                let payload = self.encoders.reset.encode(&record);
                self.produce::<PasswordResetRequested>(&link, now, &payload)
                    .await
            }
        }
    }

    async fn produce<R: Record>(
        &self,
        link: &MailLink,
        now: Timestamp,
        payload: &[u8],
    ) -> Result<(), MailRequestError> {
        let Partitions::ByKey(partitions) = IDENTITY_MAIL.partitions else {
            unreachable!("mails are not partitioned by event");
        };
        let context = RequestContext::current();
        let headers = RecordHeaders {
            id: derived_id(link.id, &[R::NAME]),
            record_name: R::NAME,
            source: SOURCE,
            subject: &link.user_id.to_string(),
            time: now,
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        let headers = headers.to_owned_headers();
        self.producer
            .send(
                IDENTITY_MAIL.name,
                partitions,
                link.user_id,
                headers,
                Some(payload),
            )
            .await?;
        Ok(())
    }

    fn intents(&self, purpose: Purpose) -> &Intents {
        match purpose {
            Purpose::VerifyEmail => &self.verifications,
            Purpose::ResetPassword => &self.resets,
            Purpose::ChangeEmail => &self.changes,
        }
    }
}
