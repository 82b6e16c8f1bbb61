//! Claims of addresses whose user was never made: the process died between the two, and nobody carried the registration on.
//!
//! Nobody can see whether a registration has ended or was only stopped, so the id goes first, in the row that it would make:
//! of the two, one is there. Whoever is late finds the id used up and makes no user beside the next one's.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use uuid::Uuid;

use crate::domain::account::State;
use crate::domain::email::EmailKey;
use crate::first_admin;
use crate::store::email_claims::EmailClaims;
use crate::store::users::Users;

/// Claims of one page.
const PAGE: usize = 1_000;

/// Gives such claims back.
pub struct AbandonedClaims {
    /// Who has which address.
    pub claims: Arc<EmailClaims>,
    /// The users.
    pub users: Arc<Users>,
}

impl AbandonedClaims {
    /// Of one page of claims after that of `after`, gives those back that were made before `before` and whose user there is
    /// not; how many, and where the next page begins, if there is one.
    ///
    /// The first admin's is left alone: its id follows from the address, and the next start goes on with it.
    pub async fn release_page(
        &self,
        after: Option<&EmailKey>,
        before: Timestamp,
    ) -> Result<(usize, Option<EmailKey>), CqlError> {
        let page = self.claims.list(after, PAGE).await?;
        let mut released = 0;
        for (email, claim) in &page {
            let is_old = claim.at < before && !first_admin::is_for(email, claim.holder);
            if is_old && self.give_back(email, claim.holder).await? {
                released += 1;
            }
        }
        let is_last = page.len() < PAGE;
        let last = page.into_iter().next_back().filter(|_| !is_last);
        Ok((released, last.map(|(email, _)| email)))
    }

    /// Gives the address back that is claimed for `holder`, unless that is a user, or is being erased; whether it did.
    pub async fn give_back(&self, email: &EmailKey, holder: Uuid) -> Result<bool, CqlError> {
        // Nearly all are users, and this read is the cheaper one.
        if self.users.find(holder).await?.is_some() {
            return Ok(false);
        }
        if let State::Absent = self.users.find_state(holder).await? {
            self.users.use_up(holder).await?;
        }
        let is_nobodys = matches!(self.users.find_state(holder).await?, State::Erased);
        if is_nobodys {
            self.claims.release(email, holder).await?;
        }
        Ok(is_nobodys)
    }
}
