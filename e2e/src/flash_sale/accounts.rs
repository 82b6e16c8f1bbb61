//! Accounts and their access tokens. Several shoppers share one: a password hash takes 25 ms of a core.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Api;
use crate::stack::Stack;
use crate::users::{self, User};

/// Access tokens live 15 minutes; the rest is for a request that takes long.
const TOKEN_IS_GOOD_FOR: Duration = Duration::from_secs(12 * 60);
/// More password hashes at once only wait for each other.
const AT_ONCE: usize = 4;

/// Somebody who signs in again when his token is old.
pub struct Account {
    /// Id.
    pub id: Uuid,
    email: String,
    identity: Api,
    sign_ins: Arc<Semaphore>,
    session: Mutex<Option<Session>>,
}

struct Session {
    token: String,
    since: Instant,
}

impl Account {
    fn new(stack: &Stack, sign_ins: &Arc<Semaphore>, user: User, since: Instant) -> Self {
        let token = user.token;
        Self {
            id: user.id,
            email: user.email,
            identity: stack.identity().clone(),
            sign_ins: Arc::clone(sign_ins),
            session: Mutex::new(Some(Session { token, since })),
        }
    }

    /// A token that is good for some minutes.
    pub async fn token(&self) -> anyhow::Result<String> {
        // Held over the sign-in: shoppers who share an account share it too.
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref()
            && session.since.elapsed() < TOKEN_IS_GOOD_FOR
        {
            return Ok(session.token.clone());
        }
        let _one_of_few = self.sign_ins.acquire().await?;
        let since = Instant::now();
        let user = users::sign_in(&self.identity, &self.email).await?;
        let token = user
            .with_context(|| format!("{} cannot sign in again", self.email))?
            .token;
        *session = Some(Session {
            token: token.clone(),
            since,
        });
        Ok(token)
    }

    /// This token was refused: the next request signs in anew.
    pub async fn refused(&self, token: &str) {
        let mut session = self.session.lock().await;
        if session
            .as_ref()
            .is_some_and(|session| session.token == token)
        {
            *session = None;
        }
    }
}

/// Everybody who takes part.
pub struct Accounts {
    /// Who buys.
    pub buyers: Vec<Account>,
    /// Who refunds.
    pub organizer: Account,
}

impl Accounts {
    /// Registers `count` buyers, signs them in, and makes `organizer` an account as well.
    pub async fn register(stack: &Stack, organizer: User, count: usize) -> anyhow::Result<Self> {
        let sign_ins = Arc::new(Semaphore::new(AT_ONCE));
        let organizer = Account::new(stack, &sign_ins, organizer, Instant::now());
        let buyers = futures::stream::iter(0..count)
            .map(async |_| {
                let email = users::fresh_email("shopper");
                users::register(stack.identity(), &email, "Flash Shopper", "en").await?;
                let since = Instant::now();
                let user = users::sign_in(stack.identity(), &email).await?;
                let user = user.with_context(|| format!("{email} cannot sign in"))?;
                anyhow::Ok(Account::new(stack, &sign_ins, user, since))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { buyers, organizer })
    }
}
