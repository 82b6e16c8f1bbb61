//! Access tokens and the keys that sign them; tokens that mean something to us alone.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use platform::auth::{ALGORITHM, AUDIENCE, AccessClaims, Role, SERVICE_AUDIENCE, TOKEN_TYPE};
use platform::clock::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use crate::domain::key_ring::{ACCESS_TOKEN_LIFETIME, KeyRing};
use crate::domain::session::SecretHash;
use crate::domain::user::User;

/// Bytes of the secret in an opaque token.
const SECRET_BYTES: usize = 32;
/// Characters of an opaque token: base64 of the id and the secret.
pub const OPAQUE_TOKEN_LEN: usize = (16 + SECRET_BYTES) / 3 * 4;

/// A key that can sign.
pub struct SigningKey {
    /// The `kid`.
    pub key_id: String,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// The private part.
    pub private_key: EncodingKey,
}

/// Signs access tokens.
pub struct Tokens {
    issuer: String,
    keys: RwLock<Arc<KeyRing<SigningKey>>>,
}

impl Tokens {
    /// Signs as `issuer` with `keys`.
    pub fn new(issuer: String, keys: KeyRing<SigningKey>) -> Self {
        Self {
            issuer,
            keys: RwLock::new(Arc::new(keys)),
        }
    }

    /// The `iss` of the tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys as this instance knows them.
    pub fn keys(&self) -> Arc<KeyRing<SigningKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    /// Goes on with keys that were read anew.
    pub fn replace_keys(&self, keys: KeyRing<SigningKey>) {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(keys);
    }

    /// An access token that tells who `user` is and what the user may do at `now`.
    pub fn access_token(
        &self,
        user: &User,
        token_id: Uuid,
        now: Timestamp,
    ) -> jsonwebtoken::errors::Result<String> {
        self.sign(&AccessClaims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user.id,
            roles: user.roles,
            iat: now.as_seconds(),
            exp: (now + ACCESS_TOKEN_LIFETIME).as_seconds(),
            jti: token_id,
            locale: user.locale.as_str().to_owned(),
        })
    }

    /// An access token for one of our services. Nothing but internal routes takes it.
    pub fn service_token(
        &self,
        service_id: Uuid,
        token_id: Uuid,
        now: Timestamp,
    ) -> jsonwebtoken::errors::Result<String> {
        self.sign(&AccessClaims {
            iss: self.issuer.clone(),
            aud: SERVICE_AUDIENCE.to_owned(),
            sub: service_id,
            roles: [Role::Service].into(),
            iat: now.as_seconds(),
            exp: (now + ACCESS_TOKEN_LIFETIME).as_seconds(),
            jti: token_id,
            locale: String::new(),
        })
    }

    /// Signs with the key of the token's time.
    fn sign(&self, claims: &AccessClaims) -> jsonwebtoken::errors::Result<String> {
        let keys = self.keys();
        let key = keys.signer(Timestamp::from_seconds(claims.iat));
        let mut header = Header::new(ALGORITHM);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(key.key_id.clone());
        encode(&header, claims, &key.private_key)
    }
}

/// A token that only this service reads: the id of a row and a secret of 256 random bits. Refresh tokens, and those that
/// links in mails bear.
pub struct OpaqueToken {
    /// Names the row: the session, or the link.
    pub id: Uuid,
    secret: [u8; SECRET_BYTES],
}

impl OpaqueToken {
    /// A new one with this id.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn generate(id: Uuid) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut secret = [0; SECRET_BYTES];
        rand::fill(&mut secret)?;
        Ok(Self { id, secret })
    }

    /// Reads what [`OpaqueToken::text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != OPAQUE_TOKEN_LEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, secret) = bytes.split_at_checked(16)?;
        Some(Self {
            id: Uuid::from_slice(id).ok()?,
            secret: secret.try_into().ok()?,
        })
    }

    /// The token as the client gets it.
    pub fn text(&self) -> SecretString {
        let bytes = [self.id.as_bytes(), self.secret.as_slice()].concat();
        SecretString::from(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What is stored. The secret is random, so that a fast hash is as good as a slow one.
    pub fn hash(&self) -> SecretHash {
        let mut hash = SecretHash::default();
        hash.copy_from_slice(digest(&SHA256, &self.secret).as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn an_opaque_token_survives_its_text() {
        let token = OpaqueToken::generate(Uuid::from_u128(7)).unwrap();
        let text = token.text();
        assert_eq!(text.expose_secret().len(), OPAQUE_TOKEN_LEN);
        let read = OpaqueToken::parse(text.expose_secret()).unwrap();
        assert_eq!((read.id, read.hash()), (token.id, token.hash()));
        assert_ne!(
            OpaqueToken::generate(token.id).unwrap().hash(),
            token.hash()
        );
    }

    #[test]
    fn garbage_is_no_opaque_token() {
        let long = "A".repeat(OPAQUE_TOKEN_LEN + 1);
        let signs = "!".repeat(OPAQUE_TOKEN_LEN);
        for text in ["", "A", &long, &signs] {
            assert!(OpaqueToken::parse(text).is_none(), "{text}");
        }
    }
}
