//! The topic `identity.users`: what other services know of users.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::cql::CqlError;
use platform::ids::derived_id;
use platform::intent::Published;
use platform::kafka::headers::RecordHeaders;
use platform::kafka::producer::{ProduceError, Producer};
use schemas::Record as _;
use schemas::identity::{FormerEmail, UserSnapshot, WishedEmail};
use schemas::topics::{IDENTITY_USERS, Partitions};
use uuid::Uuid;

use crate::address_moves::AddressMoves;
use crate::crash_point::crash_point_of;
use crate::desk::Desk;
use crate::domain::account::{Account, State};
use crate::domain::email::Email;
use crate::notice_topic::NoticeTopic;
use crate::store::email_claims::EmailClaims;
use crate::store::recent_sign_ins::RecentSignIns;
use crate::store::users::Users;

/// `ce_source` of every record.
pub(crate) const SOURCE: &str = "/svc-identity";
/// What the ids of tombstones are derived with in place of a version.
const ERASED: &str = "erased";

/// Publishes users' newest state.
pub struct UserTopic {
    /// Where to.
    pub producer: Producer,
    /// In which form.
    pub encoder: platform::avro::Encoder<UserSnapshot>,
    /// What the user himself should hear of.
    pub notices: NoticeTopic,
    /// What there is to say.
    pub users: Arc<Users>,
    /// What is brought to its end first.
    pub moves: AddressMoves,
    /// What goes with a user who is erased: the address,
    pub claims: Arc<EmailClaims>,
    /// what was written to support,
    pub desk: Arc<Desk>,
    /// and from where the user signed in.
    pub recent_sign_ins: Arc<RecentSignIns>,
}

/// What the topic has to say of a user.
pub enum Known {
    /// As the row says.
    Living(Box<Account>),
    /// Erased: a tombstone.
    Erased,
}

impl UserTopic {
    async fn finish_erasure(&self, id: Uuid, email: &Email) -> Result<(), CqlError> {
        self.desk.erase_of(id).await?;
        crash_point_of("cases-erased", id);
        self.recent_sign_ins.erase_of(id).await?;
        crash_point_of("sign-ins-erased", id);
        self.claims.release(&email.key(), id).await?;
        crash_point_of("address-released", id);
        self.users.finish_erasure(id).await?;
        crash_point_of("row-erased", id);
        Ok(())
    }
}

impl Published for UserTopic {
    type Row = Known;

    /// Finishes a change of address before it says which one the user has, and an erasure before it says that there is
    /// nobody: whoever hears of it, the sweeper after a crash as well, may take it for done. The claim goes while the row
    /// still has the address that leads to it.
    ///
    /// Of a user who was never made there is nothing to say. A tombstone would be for ever: as long as the address is
    /// claimed for the id, whoever registers the address gets it.
    async fn read(&self, id: Uuid) -> Result<Option<Known>, CqlError> {
        // Apart, as below: it would make the future of every change large.
        match Box::pin(self.moves.finish(id)).await? {
            State::Living(account) => Ok(Some(Known::Living(account))),
            State::Erasing(email) => {
                Box::pin(self.finish_erasure(id, &email)).await?;
                Ok(Some(Known::Erased))
            }
            State::Erased => Ok(Some(Known::Erased)),
            State::Absent => Ok(None),
        }
    }

    fn version(known: &Known) -> i64 {
        match known {
            Known::Living(account) => account.user.version,
            Known::Erased => i64::MAX,
        }
    }

    async fn produce(&self, id: Uuid, known: Option<&Known>) -> Result<(), ProduceError> {
        let account = match known {
            None => return Ok(()),
            Some(Known::Living(account)) => {
                self.notices.publish(account).await?;
                Some(account)
            }
            Some(Known::Erased) => None,
        };
        let Partitions::ByKey(partitions) = IDENTITY_USERS.partitions else {
            unreachable!("users are not partitioned by event");
        };
        let version = account.map_or(ERASED.to_owned(), |account| {
            account.user.version.to_string()
        });
        let context = RequestContext::current();
        let headers = RecordHeaders {
            id: derived_id(id, &[UserSnapshot::NAME, &version]),
            record_name: UserSnapshot::NAME,
            source: SOURCE,
            subject: &id.to_string(),
            time: Timestamp::now(),
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        let payload = account.map(|account| self.encoder.encode(&snapshot(account)));
        self.producer
            .send(
                IDENTITY_USERS.name,
                partitions,
                id,
                headers.to_owned_headers(),
                payload.as_deref(),
            )
            .await?;
        crash_point_of("user-published", id);
        Ok(())
    }
}

fn snapshot(account: &Account) -> UserSnapshot {
    let user = &account.user;
    let now = Timestamp::now();
    let former = account.former_emails.iter();
    let former: Vec<FormerEmail> = former
        .filter(|former| former.is_recent(now))
        .map(|former| FormerEmail {
            email: former.email.as_str().to_owned(),
            until: former.until.as_micros(),
        })
        .collect();
    let wish = account.wish.as_ref();
    UserSnapshot {
        user_id: user.id,
        version: user.version,
        name: user.name.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        phone: user.phone.as_ref().map(|phone| phone.as_str().to_owned()),
        locale: user.locale.as_str().to_owned(),
        roles: user
            .roles
            .iter()
            .map(|role| role.as_str().to_owned())
            .collect(),
        email_verified: user.email_verified,
        created_at: user.created_at.as_micros(),
        wished_email: wish.map(|wish| WishedEmail {
            wish_id: wish.id,
            email: wish.email.as_str().to_owned(),
        }),
        former_emails: (!former.is_empty()).then_some(former),
    }
}
