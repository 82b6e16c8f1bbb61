//! The first admin: somebody must be able to give others their roles.

use platform::auth::Role;
use platform::ids::derived_id;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::accounts::{AccountError, Accounts, NewAccount};
use crate::config::FirstAdmin;
use crate::domain::account::{Account, State};
use crate::domain::email::EmailKey;
use crate::domain::locale::Locale;
use crate::domain::name::Name;
use crate::domain::roles;
use crate::store::users::Users;

const NAME: &str = "Admin";
/// Random, and never changed.
const NAMESPACE: Uuid = Uuid::from_u128(0x6ae5_37a4_2f0c_4c39_9d0b_4e1f_83a7_c5d2);

/// The same for the same address, for ever: what is left of somebody who was erased is the id, and by it a start knows
/// that it has made this admin before. So the first admin has this id and no other, whatever a registration that broke off has
/// left.
fn id_of(email: &EmailKey) -> Uuid {
    derived_id(NAMESPACE, &["first-admin", email.as_str()])
}

/// Whether the address is claimed for the first admin that a start makes or made of it.
pub fn is_for(email: &EmailKey, id: Uuid) -> bool {
    id_of(email) == id
}

/// Makes the first admin unless the address has an account, whoever made that: an account that was registered by
/// somebody else must not become an admin's by a restart. Nor does one come back by a restart that was erased.
pub async fn ensure(accounts: &Accounts, users: &Users, first: FirstAdmin) -> anyhow::Result<()> {
    let id = id_of(&first.email.key());
    match users.find_state(id).await? {
        State::Absent => {}
        State::Living(account) => {
            // Somebody may have carried on what a start had begun, or another admin took the role away.
            warn_unless_admin(Some(&account));
            return Ok(());
        }
        State::Erasing(_) | State::Erased => {
            tracing::warn!(
                user_id = %id,
                "the first admin was erased and is not made again; take IDENTITY_FIRST_ADMIN_EMAIL away, or set another one"
            );
            return Ok(());
        }
    }
    let new = NewAccount {
        id,
        keeps_id: true,
        name: Name::parse(NAME)?,
        email: first.email.clone(),
        password: first.password.expose_secret().into(),
        phone: None,
        locale: Locale::En,
        roles: roles::of_first_admin(),
        verify: false,
    };
    match accounts.create(new).await {
        Ok(user) => tracing::info!(user_id = %user.id, "the first admin was made"),
        // By another instance that started in this moment, by somebody who is an admin by now, or by somebody else.
        Err(AccountError::EmailTaken) => {
            let holder = accounts.claims.find(&first.email.key()).await?;
            let holder = users.find_newest(holder.unwrap_or(id)).await?;
            warn_unless_admin(holder.as_ref());
        }
        // The account is there and the sweeper publishes it as soon as Kafka is back.
        Err(AccountError::Publish(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the first admin is not published yet"
            );
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn warn_unless_admin(holder: Option<&Account>) {
    if !holder.is_some_and(|account| account.user.roles.contains(Role::Admin)) {
        tracing::warn!(
            "IDENTITY_FIRST_ADMIN_EMAIL is the address of somebody who is no admin, and nobody is made one: set another address, or take it away"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email::Email;

    #[test]
    fn an_address_has_one_id_in_any_case() {
        let id = |email: &str| id_of(&Email::parse(email).unwrap().key());
        assert_eq!(id("admin@example.com"), id("Admin@Example.com"));
        assert_ne!(id("admin@example.com"), id("admin@example.org"));
        // What was made is known by it for ever.
        insta::assert_snapshot!(id("admin@example.com"), @"33677876-1df9-5f18-9265-4c1d3b18ba19");
    }
}
