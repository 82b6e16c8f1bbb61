//! From one address to another: the new one is claimed, the row changes, the old one is given back.
//!
//! The row says what is to be done before it is done, so that whoever reads it after a crash goes on; of several who do,
//! each step is made by one. A claim that is given back is named by when it was made: somebody who was stopped in the middle,
//! and wakes up when the user has the address again, takes nothing away.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::ids::new_id;
use uuid::Uuid;

use crate::crash_point::crash_point_of;
use crate::domain::account::{Account, State};
use crate::domain::address_change::Move;
use crate::domain::email::Email;
use crate::store::email_claims::EmailClaims;
use crate::store::users::Users;

/// Steps of one call at most. A change takes two; others may change the user in between.
const MAX_STEPS: u32 = 10;

/// Brings changes of address to their end.
pub struct AddressMoves {
    /// Who has which address.
    pub claims: Arc<EmailClaims>,
    /// The users.
    pub users: Arc<Users>,
}

impl AddressMoves {
    /// What there is under the id, once no change of address is on its way.
    pub async fn finish(&self, id: Uuid) -> Result<State, CqlError> {
        for _ in 0..MAX_STEPS {
            match self.users.find_state(id).await? {
                State::Living(account) if account.moving.is_some() => self.step(*account).await?,
                state => return Ok(state),
            }
        }
        Err(CqlError::answer("a user who changes between any two steps"))
    }

    async fn step(&self, mut account: Account) -> Result<(), CqlError> {
        let id = account.user.id;
        match account.moving.take() {
            Some(Move::To(email)) => {
                let now = Timestamp::now_millis();
                let next = match self.claims.take(&email.key(), id, now).await? {
                    true => account.moved(email.clone(), now),
                    // Somebody else has it by now: the one before stays.
                    false => account.refused(),
                };
                crash_point_of("address-claimed", id);
                if !self.users.update(&next, new_id()).await? {
                    // The row went another way, and may have no use for what was claimed here.
                    self.give_back(&email, id).await?;
                }
                crash_point_of("moved", id);
            }
            Some(Move::From(email)) => {
                self.give_back(&email, id).await?;
                crash_point_of("old-address-released", id);
                // Where another one did it, nothing is left to do.
                self.users.update(&account.settled(), new_id()).await?;
                crash_point_of("move-settled", id);
            }
            None => {}
        }
        Ok(())
    }

    /// Gives the claim of an address back that the user does not hold.
    ///
    /// In this order: whoever lets the user have the address after the second read claims it anew, and then the claim that
    /// was read first is another one.
    async fn give_back(&self, email: &Email, id: Uuid) -> Result<(), CqlError> {
        let key = email.key();
        let claim = self.claims.find_newest(&key).await?;
        let Some(claim) = claim.filter(|claim| claim.holder == id) else {
            return Ok(());
        };
        let account = self.users.find_newest(id).await?;
        if account.is_some_and(|account| account.holds(email)) {
            return Ok(());
        }
        self.claims.release_one(&key, claim).await
    }
}
