//! How users come into being and change: intent, then row, then publication, so that a crash at any step leaves one
//! user or none, and what the topic says last is what the row says.

use std::sync::Arc;
use std::time::Duration;

use platform::auth::RoleSet;
use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::intent::{Intents, PublishError, publish_newest};
use secrecy::SecretString;
use uuid::Uuid;

use crate::abandoned_claims::AbandonedClaims;
use crate::crash_point::{crash_point, crash_point_of};
use crate::domain::account::Account;
use crate::domain::address_change::{FORMER_KEPT_FOR, Wish};
use crate::domain::email::Email;
use crate::domain::locale::Locale;
use crate::domain::mail_link::{LINK_LIFETIME, Purpose};
use crate::domain::name::Name;
use crate::domain::phone::Phone;
use crate::domain::user::User;
use crate::mail_requests::MailRequests;
use crate::password::{Passwords, PoolError};
use crate::store::email_claims::EmailClaims;
use crate::store::users::Users;
use crate::user_topic::UserTopic;

/// How often a change is tried that may start from any version.
const CHANGE_ATTEMPTS: u32 = 5;
/// How often an address is claimed of which somebody gives an abandoned claim back in this moment. The second one is new.
const CLAIM_ATTEMPTS: u32 = 3;

/// Makes and changes users.
pub struct Accounts {
    /// Who has which address.
    pub claims: Arc<EmailClaims>,
    /// Gives claims back that came to nothing.
    pub abandoned: Arc<AbandonedClaims>,
    /// The users.
    pub users: Arc<Users>,
    /// Publications that are owed.
    pub intents: Arc<Intents>,
    /// Wishes for another address that are to be forgotten.
    pub old_wishes: Intents,
    /// Addresses of before that are.
    pub old_addresses: Intents,
    /// Where users are published.
    pub topic: Arc<UserTopic>,
    /// Asks for mails.
    pub mails: Arc<MailRequests>,
    /// Hashes passwords.
    pub passwords: Arc<Passwords>,
}

/// A user to be, with a password that the policy allows.
pub struct NewAccount {
    /// The id, unless the address is claimed under another one.
    pub id: Uuid,
    /// Whether it is this id or nobody is made: a claim under another one, that nobody has, is given back.
    pub keeps_id: bool,
    /// The address, to be claimed.
    pub email: Email,
    /// The password.
    pub password: SecretString,
    /// What to call the person.
    pub name: Name,
    /// Where text messages go.
    pub phone: Option<Phone>,
    /// The language of mails.
    pub locale: Locale,
    /// What the person may do.
    pub roles: RoleSet,
    /// Whether a mail asks the person to prove the address.
    pub verify: bool,
}

/// Why a user was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Another user has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// The user changed in the meantime.
    #[error("the user changed in the meantime")]
    Stale,
    /// The user does not want that address, or no longer.
    #[error("there is no such wish")]
    NoWish,
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PoolError),
    /// The database is away: it may or may not have happened.
    #[error(transparent)]
    Store(#[from] CqlError),
    /// It happened, and the publication is still owed.
    #[error("publish the user")]
    Publish(#[from] PublishError),
}

impl Accounts {
    /// Makes a user.
    ///
    /// The claim of the address gives the id, and the row with that id is the user. Whoever finds a claim without a user
    /// goes on where the other stopped; of several who do, the one whose row is first is the user. After a day the claim
    /// goes, and first the id: no row is made with it any more ([`crate::abandoned_claims`]). Whoever goes on in that very
    /// moment claims the address anew.
    pub async fn create(&self, new: NewAccount) -> Result<User, AccountError> {
        let email = new.email.key();
        // The common refusal should not cost a hash.
        if let Some(holder) = self.claims.find(&email).await?
            && self.users.find(holder).await?.is_some()
        {
            return Err(AccountError::EmailTaken);
        }
        let password_hash = self.passwords.hash(new.password).await?;

        let now = Timestamp::now();
        let user = User {
            id: new.id,
            version: 1,
            email: new.email,
            name: new.name,
            phone: new.phone,
            locale: new.locale,
            roles: new.roles,
            email_verified: false,
            // As it will be read: the answer to this request and to the next one must not differ.
            created_at: Timestamp::from_millis(now.as_millis()),
        };
        let mut account = Account::new(user, password_hash);
        for _ in 0..CLAIM_ATTEMPTS {
            let holder = self.claims.claim(&email, new.id, now).await?;
            crash_point("claimed");
            account.user.id = holder;
            let may_carry_on = holder == new.id || !new.keeps_id;
            if may_carry_on && self.make(&account, new.verify).await? {
                return Ok(account.user);
            }
            // Where the id was used up, nobody has the address.
            if holder == new.id || !self.abandoned.give_back(&email, holder).await? {
                break;
            }
        }
        Err(AccountError::EmailTaken)
    }

    /// Makes the user whose address is claimed; whether it did: not, when the id has one, or had.
    async fn make(&self, account: &Account, verify: bool) -> Result<bool, AccountError> {
        let intent = self.intents.begin(account.user.id).await?;
        crash_point("publication-owed");
        let mail = match verify {
            true => Some(
                self.mails
                    .owe(Purpose::VerifyEmail, account.user.id)
                    .await?,
            ),
            false => None,
        };
        crash_point("mail-owed");
        if !self.users.insert(account, intent.id).await? {
            self.intents.done(intent).await?;
            if let Some(mail) = mail {
                self.mails.forget(mail).await?;
            }
            return Ok(false);
        }
        crash_point("made");
        publish_newest(&*self.topic, account.user.id).await?;
        crash_point("published");
        let settled = self.intents.done(intent).await;
        settled.map_err(PublishError::from)?;
        crash_point("settled");
        // Last: the mailer can do nothing before it knows the user.
        if let Some(mail) = mail {
            self.mails.settle_soon(mail);
        }
        Ok(true)
    }

    /// Replaces an account by what `change` makes of the newest version. It may refuse, and it may be asked several
    /// times; an account that it leaves as it is stays at its version.
    pub async fn change<E: From<AccountError>>(
        &self,
        id: Uuid,
        change: impl Fn(Account) -> Result<Account, E>,
    ) -> Result<User, E> {
        let failed = |error: CqlError| E::from(error.into());
        for _ in 0..CHANGE_ATTEMPTS {
            let found = self.users.find_newest(id).await.map_err(failed)?;
            let account = found.ok_or(AccountError::NotFound)?;
            let changed = change(account.clone())?;
            if changed == account {
                return Ok(account.user);
            }
            let intent = self.intents.begin(id).await.map_err(failed)?;
            crash_point_of("change-owed", id);
            let updated = self.users.update(&changed, intent.id).await;
            if updated.map_err(failed)? {
                crash_point_of("changed", id);
                let published = self.intents.settle(&*self.topic, intent).await;
                published.map_err(AccountError::from)?;
                crash_point_of("change-settled", id);
                return Ok(changed.user);
            }
            self.intents.done(intent).await.map_err(failed)?;
        }
        Err(AccountError::Stale.into())
    }

    /// Writes down that the user wants another address, unless `may` refuses, and asks for the mail that proves it.
    ///
    /// What is owed is written first. After a refusal, or a crash, the sweepers look for the wish and may find none.
    pub async fn wish<E: From<AccountError>>(
        &self,
        id: Uuid,
        wish: Wish,
        may: impl Fn(&Account) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: CqlError| E::from(error.into());
        let mail = self.mails.owe(Purpose::ChangeEmail, id).await;
        let mail = mail.map_err(failed)?;
        self.old_wishes.begin(id).await.map_err(failed)?;
        self.change(id, |account| {
            may(&account)?;
            Ok::<_, E>(account.with_wish(wish.clone()))
        })
        .await?;
        // Last: the mailer can do nothing before it knows the address.
        self.mails.settle_soon(mail);
        Ok(())
    }

    /// What came of a wish that was proved: the user, or that somebody else has the address; `None` of one that was not
    /// proved yet, or cannot be any more. A change of address that is on its way is finished first.
    pub async fn outcome_of_wish(
        &self,
        id: Uuid,
        wish_id: Uuid,
    ) -> Result<Option<User>, AccountError> {
        // Apart, as below: it would make this future large.
        let state = Box::pin(self.topic.moves.finish(id)).await?;
        let account = state.living().ok_or(AccountError::NoWish)?;
        match account.proved.filter(|proved| proved.id == wish_id) {
            None => Ok(None),
            Some(proved) if proved.is_refused => Err(AccountError::EmailTaken),
            Some(_) => Ok(Some(account.user)),
        }
    }

    /// Gives the user the address of a wish that was proved in `epoch`; every session ends.
    ///
    /// The row says first that the user is on the way there. The rest, which a crash anywhere leaves to the sweeper, is for
    /// [`UserTopic`] when it publishes; where somebody else has the address by then, the user keeps the one before. Either
    /// way the row remembers the wish: after an error, the same link finds out what came of it.
    pub async fn grant_wish(
        &self,
        id: Uuid,
        wish_id: Uuid,
        epoch: i32,
    ) -> Result<User, AccountError> {
        self.old_addresses.begin(id).await?;
        crash_point_of("old-address-owed", id);
        let changed = self.change(id, |account| {
            let account = Some(account).filter(|account| account.epoch == epoch);
            let moving = account.and_then(|account| account.moving_to_wish(wish_id));
            moving.ok_or(AccountError::NoWish)
        });
        match changed.await {
            // Somebody may have used the link at the same time.
            Ok(_) | Err(AccountError::NoWish) => {}
            Err(error) => return Err(error),
        }
        let outcome = self.outcome_of_wish(id, wish_id).await?;
        outcome.ok_or(AccountError::NoWish)
    }

    /// Forgets wishes that have run out, and addresses of long ago, of users who had one for so long.
    pub async fn forget_old_addresses(&self) -> Result<(), AccountError> {
        type Has = fn(&Account) -> bool;
        let kept: [(&Intents, Duration, Has); 2] = [
            (&self.old_wishes, LINK_LIFETIME, |account| {
                account.wish.is_some()
            }),
            (&self.old_addresses, FORMER_KEPT_FOR, |account| {
                !account.former_emails.is_empty()
            }),
        ];
        for (intents, kept_for, has) in kept {
            for owed in intents.all_owed(kept_for).await? {
                let now = Timestamp::now();
                let forgotten = self.change(owed.aggregate_id, |account| {
                    Ok::<_, AccountError>(account.without_old_addresses(now))
                });
                match forgotten.await {
                    Ok(_) | Err(AccountError::NotFound) => {}
                    Err(error) => return Err(error),
                }
                // A change is later than what is owed for it, by much where a crash came between: its turn may be to come.
                let account = self.users.find_newest(owed.aggregate_id).await?;
                if !account.is_some_and(|account| has(&account)) {
                    intents.done(owed).await?;
                }
            }
        }
        Ok(())
    }

    /// Erases a user for good, unless `may` refuses: the row keeps nothing but the id, the address is free for somebody
    /// else, no token gets a next one, and the topic says that there is nobody.
    ///
    /// The row is first, and whatever crashes after it is finished by [`UserTopic`] when it publishes.
    pub async fn erase<E: From<AccountError>>(
        &self,
        id: Uuid,
        may: impl Fn(&Account) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: CqlError| E::from(error.into());
        for _ in 0..CHANGE_ATTEMPTS {
            // With its address on the way the user would leave a claim behind.
            let state = Box::pin(self.topic.moves.finish(id)).await;
            let state = state.map_err(failed)?;
            let account = state.living().ok_or(AccountError::NotFound)?;
            may(&account)?;
            let intent = self.intents.begin(id).await.map_err(failed)?;
            crash_point_of("erasure-owed", id);
            let begun = self.users.begin_erasure(&account.user, intent.id).await;
            if begun.map_err(failed)? {
                crash_point_of("erasure-begun", id);
                let published = self.intents.settle(&*self.topic, intent).await;
                published.map_err(AccountError::from)?;
                crash_point_of("erasure-settled", id);
                return Ok(());
            }
            self.intents.done(intent).await.map_err(failed)?;
        }
        Err(AccountError::Stale.into())
    }
}
