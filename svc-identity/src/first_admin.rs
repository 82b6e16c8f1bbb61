//! The first admin: somebody must be able to give others their roles.

use secrecy::ExposeSecret as _;

use crate::accounts::{AccountError, Accounts, NewAccount};
use crate::config::FirstAdmin;
use crate::domain::locale::Locale;
use crate::domain::name::Name;
use crate::domain::roles;

const NAME: &str = "Admin";

/// Makes the first admin unless the address has an account, whoever made that: an account that was registered by
/// somebody else must not become an admin's by a restart.
pub async fn ensure(accounts: &Accounts, first: FirstAdmin) -> anyhow::Result<()> {
    let new = NewAccount {
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
        Err(AccountError::EmailTaken) => {}
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
