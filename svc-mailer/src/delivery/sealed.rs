//! Tokens in links: sealed before they are written down, and open only while the mail is written.

use platform::vault::VaultError;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::Delivery;
use crate::domain::account_link::AccountLink;

impl Delivery {
    /// The token as it may be written down.
    pub fn seal(&self, token_id: Uuid, token: &SecretString) -> Result<Vec<u8>, VaultError> {
        self.vault
            .seal(&name(token_id), token.expose_secret().as_bytes())
    }

    pub(super) fn unseal(&self, link: &AccountLink) -> Result<SecretString, VaultError> {
        let name = name(link.token_id);
        let token = self.vault.open(&name, &link.sealed_token)?;
        let token = String::from_utf8(token.expose_secret().to_vec());
        token
            .map(SecretString::from)
            .map_err(|_| VaultError::Open(name))
    }
}

/// What a sealed token is bound to: it opens in no other row.
fn name(token_id: Uuid) -> String {
    format!("token {token_id}")
}
