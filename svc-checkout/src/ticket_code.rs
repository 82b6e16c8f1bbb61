//! The code of a ticket: signed text that a gate checks with the public key alone, without a network.
//!
//! It is a compact JWS signed with Ed25519. It follows from the ticket and the key and is kept nowhere; it has no end,
//! since whether a ticket still lets its bearer in is the order's matter.

use aws_lc_rs::signature::Ed25519KeyPair;
use jsonwebtoken::{EncodingKey, Header, encode};
use platform::auth::ALGORITHM;
use secrecy::{ExposeSecret as _, SecretBox};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::TICKET_SIGNING_KEY_BYTES;
use crate::domain::order::Ticket;

/// The `typ` in the header of every code: no access token passes for a ticket, and no ticket for an access token.
pub const CODE_TYPE: &str = "ticket+jwt";

/// What a code says. Names are short and ids without hyphens, since the whole goes into a QR code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketClaims {
    /// The ticket.
    #[serde(rename = "sub", with = "uuid::serde::simple")]
    pub ticket_id: Uuid,
    /// The event that it lets its bearer in to.
    #[serde(rename = "evt", with = "uuid::serde::simple")]
    pub event_id: Uuid,
    /// Its type, for a door that is not for all.
    #[serde(rename = "type", with = "uuid::serde::simple")]
    pub ticket_type_id: Uuid,
    /// Number of the ticket in its event, from 1.
    #[serde(rename = "num")]
    pub number: i64,
}

/// Signs codes.
pub struct TicketSigner {
    key: EncodingKey,
    header: Header,
}

impl TicketSigner {
    /// Signs with the Ed25519 key that this seed makes.
    ///
    /// # Errors
    /// When the library refuses the seed, which it does for another length only.
    pub fn new(seed: &SecretBox<[u8; TICKET_SIGNING_KEY_BYTES]>) -> anyhow::Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret())?;
        let mut header = Header::new(ALGORITHM);
        header.typ = Some(CODE_TYPE.to_owned());
        Ok(Self {
            key: EncodingKey::from_ed_der(pair.to_pkcs8v1()?.as_ref()),
            header,
        })
    }

    /// The code of a ticket of this event; for the same ticket always the same, about 320 characters.
    pub fn sign(&self, event_id: Uuid, ticket: &Ticket) -> String {
        let claims = TicketClaims {
            ticket_id: ticket.id,
            event_id,
            ticket_type_id: ticket.ticket_type_id,
            number: ticket.number,
        };
        encode(&self.header, &claims, &self.key).expect("an Ed25519 key signs whatever is JSON")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_lc_rs::signature::KeyPair as _;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use platform::auth::{AUDIENCE, AccessClaims, RoleSet, TOKEN_TYPE};
    use platform::money::Money;

    use super::*;

    const EVENT: Uuid = Uuid::from_u128(0xE);
    /// What a QR code of 69 × 69 modules holds (version 13) when a seventh of it may be unreadable (level M).
    const QR_BYTES: usize = 331;

    /// Why a text is no ticket.
    #[derive(Debug, PartialEq, Eq)]
    enum Refused {
        /// Not signed with the key, or without the claims of a ticket.
        Forged,
        /// Signed with the key, as something else.
        OtherType,
    }

    /// What a gate does: it has the public key and nothing else.
    fn verify(code: &str, public_key: &[u8]) -> Result<TicketClaims, Refused> {
        let mut validation = Validation::new(ALGORITHM);
        validation.set_required_spec_claims::<&str>(&[]);
        validation.validate_exp = false;
        let key = DecodingKey::from_ed_der(public_key);
        let found = decode::<TicketClaims>(code, &key, &validation).map_err(|_| Refused::Forged)?;
        if found.header.typ.as_deref() != Some(CODE_TYPE) {
            return Err(Refused::OtherType);
        }
        Ok(found.claims)
    }

    fn seed(byte: u8) -> SecretBox<[u8; TICKET_SIGNING_KEY_BYTES]> {
        SecretBox::new(Box::new([byte; TICKET_SIGNING_KEY_BYTES]))
    }

    fn signer(byte: u8) -> TicketSigner {
        TicketSigner::new(&seed(byte)).unwrap()
    }

    fn public_key(byte: u8) -> Vec<u8> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed(byte).expose_secret()).unwrap();
        pair.public_key().as_ref().to_vec()
    }

    fn ticket(number: i64) -> Ticket {
        Ticket {
            id: Uuid::from_u128(0xA),
            number,
            ticket_type_id: Uuid::from_u128(0xB),
            kind: Arc::from("vip"),
            price: Money::zero("EUR".parse().unwrap()),
            released: false,
        }
    }

    fn claims() -> TicketClaims {
        TicketClaims {
            ticket_id: Uuid::from_u128(0xA),
            event_id: EVENT,
            ticket_type_id: Uuid::from_u128(0xB),
            number: 17,
        }
    }

    #[test]
    fn a_gate_reads_what_was_signed() {
        let code = signer(1).sign(EVENT, &ticket(17));
        assert_eq!(verify(&code, &public_key(1)), Ok(claims()));
        assert_eq!(verify(&code, &public_key(2)), Err(Refused::Forged));
    }

    /// Codes are on paper: whatever makes another one of the same ticket must be noticed here.
    #[test]
    fn the_same_ticket_has_the_same_code_for_ever() {
        let code = signer(1).sign(EVENT, &ticket(17));
        let parts: Vec<&str> = code.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            panic!("{code}");
        };
        let text = |part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(text(header), r#"{"typ":"ticket+jwt","alg":"EdDSA"}"#);
        assert_eq!(
            text(claims),
            concat!(
                r#"{"sub":"0000000000000000000000000000000a","evt":"0000000000000000000000000000000e","#,
                r#""type":"0000000000000000000000000000000b","num":17}"#,
            )
        );
        assert_eq!(
            signature,
            "1iHUu5xpsaJLfGAh8lCV8kMXQk312qndZc83drf4RuI3ihu07rYxWqv0HD5-tO7CrGSCzyfvCCNgpbgwFOtxDQ"
        );
    }

    #[test]
    fn a_changed_bit_is_noticed_wherever_it_is() {
        let code = signer(1).sign(EVENT, &ticket(17));
        let key = public_key(1);
        for at in 0..code.len() {
            assert_eq!(
                verify(&code[..at], &key),
                Err(Refused::Forged),
                "cut at {at}"
            );
            // The eighth bit would make no text.
            for bit in 0..7 {
                let mut changed = code.clone().into_bytes();
                changed[at] ^= 1 << bit;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(verify(&changed, &key), Err(Refused::Forged), "{changed}");
            }
        }
    }

    #[test]
    fn what_the_key_signs_as_something_else_is_no_ticket() {
        let signer = signer(1);
        for typ in [Some(TOKEN_TYPE), Some("JWT"), None] {
            let mut header = signer.header.clone();
            header.typ = typ.map(str::to_owned);
            let code = encode(&header, &claims(), &signer.key).unwrap();
            assert_eq!(verify(&code, &public_key(1)), Err(Refused::OtherType));
        }
        let token = AccessClaims {
            iss: "http://localhost:8080".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: Uuid::from_u128(0xA),
            roles: RoleSet::default(),
            iat: 1_800_000_000,
            exp: 1_800_000_900,
            jti: Uuid::from_u128(1),
            locale: "en".to_owned(),
        };
        for typ in [TOKEN_TYPE, CODE_TYPE] {
            let mut header = signer.header.clone();
            header.typ = Some(typ.to_owned());
            let token = encode(&header, &token, &signer.key).unwrap();
            assert_eq!(verify(&token, &public_key(1)), Err(Refused::Forged));
        }
    }

    #[test]
    fn a_code_fits_into_a_qr_code_that_a_telephone_reads() {
        let code = signer(1).sign(EVENT, &ticket(99_999_999));
        assert!(code.len() <= QR_BYTES, "{}: {code}", code.len());
    }
}
