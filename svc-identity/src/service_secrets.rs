//! The secrets under which our own services ask for tokens.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use platform::auth::service_id;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// Which service has which secret. Only hashes are kept, and only these are compared: the time that takes tells nothing
/// of the secret.
#[derive(Debug, Default)]
pub struct ServiceSecrets {
    hashes: HashMap<&'static str, [u8; 32]>,
}

impl ServiceSecrets {
    /// The service called `service` has this secret.
    pub fn add(&mut self, service: &'static str, secret: &SecretString) {
        self.hashes.insert(service, hash(secret));
    }

    /// The id of the service, if the secret is its own. It follows from the name, so that it is the same everywhere.
    pub fn check(&self, service: &str, secret: &SecretString) -> Option<Uuid> {
        let presented = hash(secret);
        let known = self.hashes.get(service)?;
        (*known == presented).then(|| service_id(service))
    }
}

fn hash(secret: &SecretString) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.expose_secret().as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_own_secret_only() {
        let mut secrets = ServiceSecrets::default();
        secrets.add("svc-catalog", &SecretString::from("one"));
        secrets.add("svc-mailer", &SecretString::from("two"));
        let check = |service, secret: &str| secrets.check(service, &SecretString::from(secret));
        assert!(check("svc-catalog", "one").is_some());
        assert_ne!(check("svc-catalog", "one"), check("svc-mailer", "two"));
        for (service, secret) in [
            ("svc-catalog", "two"),
            ("svc-catalog", ""),
            ("svc-checkout", "one"),
            ("", "one"),
        ] {
            assert_eq!(check(service, secret), None, "{service} {secret}");
        }
    }
}
