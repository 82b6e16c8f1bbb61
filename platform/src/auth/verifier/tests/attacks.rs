//! What people try who want in with a token that is not theirs. The same against running services: e2e.

use super::*;

/// Bits flipped at random, some at a time, in one good token.
const MUTANTS: usize = 10_000;

/// xorshift64*: the same mutants each time, so that a failure can be looked at.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % end
    }
}

async fn refuses(verifier: &Arc<Verifier>, what: &str, token: &str) {
    let refused = verifier.verify(token).await;
    assert!(
        matches!(refused, Err(AuthError::Invalid(_))),
        "{what}: {refused:?}"
    );
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn the_algorithm_is_ours_to_choose() {
    let signer = Signer::new("k1");
    let (_, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
    let good = signer.token();
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    for alg in [
        "none", "None", "NONE", "nOnE", "", "eddsa", "ES256", "RS256", "PS512", "HS256",
    ] {
        let other = part(&json!({"alg": alg, "typ": TOKEN_TYPE, "kid": "k1"}));
        for token in [
            format!("{other}.{payload}."),
            format!("{other}.{payload}.{signature}"),
        ] {
            refuses(&verifier, alg, &token).await;
        }
        // Signed by the right key, under another name.
        let signed = signer.sign(&json!({"alg": alg}), &json!({}));
        refuses(&verifier, alg, &signed).await;
    }
    // Everything about the key that is public, as the secret of an HMAC.
    let x = URL_SAFE_NO_PAD.encode(signer.public());
    let secrets = [
        signer.public(),
        x.clone().into_bytes(),
        signer.jwk().to_string().into_bytes(),
        b"k1".to_vec(),
        Vec::new(),
    ];
    for secret in &secrets {
        for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header {
                alg,
                ..signer.header()
            };
            let token = encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
            refuses(&verifier, "an HMAC", &token).await;
            let (_, signature) = token.rsplit_once('.').unwrap();
            let confused = format!("{head}.{payload}.{signature}");
            refuses(&verifier, "an HMAC that says EdDSA", &confused).await;
        }
    }
    assert!(verifier.verify(&good).await.is_ok());
}

#[tokio::test]
async fn a_key_comes_from_the_issuer_and_from_nowhere_else() {
    let signer = Signer::new("k1");
    let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
    // Whoever signs with a key of his own needs it to be looked up somewhere.
    let stranger = Signer::new("k1");
    let away = Issuer::default();
    away.publish(&[stranger.jwk()]);
    let url = away.start().await.jwks_url.to_string();
    for header in [
        json!({"jwk": stranger.jwk()}),
        json!({"jku": url}),
        json!({"jku": url, "kid": "k2"}),
        json!({"x5u": url}),
        json!({"x5c": ["MIIB"]}),
        json!({"kid": url}),
    ] {
        let token = stranger.sign(&header, &json!({}));
        refuses(&verifier, &header.to_string(), &token).await;
    }
    for kid in [
        "../../../../dev/null",
        "..\\..\\k1",
        "/proc/self/environ",
        "k1\0",
        "k1/../k1",
        "' OR '1'='1",
        "k1'; DROP TABLE signing_keys; --",
        "$(id)",
        "K1",
        " k1",
        "",
        "\u{202e}1k",
        &"k".repeat(2_000),
    ] {
        for by in [&signer, &stranger] {
            refuses(&verifier, kid, &by.sign(&json!({"kid": kid}), &json!({}))).await;
        }
    }
    for kid in [json!(1), json!(["k1"]), json!({"k1": 1}), json!(true)] {
        let token = signer.sign(&json!({"kid": kid}), &json!({}));
        refuses(&verifier, &kid.to_string(), &token).await;
    }
    assert_eq!(
        away.fetches(),
        0,
        "a key was fetched from where the token said"
    );
    assert!(issuer.fetches() > 0);
    assert!(verifier.verify(&signer.token()).await.is_ok());
}

#[tokio::test]
async fn none_of_ten_thousand_mutants_gets_in() {
    let signer = Signer::new("k1");
    let (_, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
    let good = signer.token();
    assert!(verifier.verify(&good).await.is_ok());
    let mut chance = Chance(0x5EED);
    let mut tried = 0;
    while tried < MUTANTS {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..=chance.below(4) {
            let at = chance.below(bytes.len());
            bytes[at] ^= 1 << chance.below(7);
        }
        let mutant = String::from_utf8(bytes).unwrap();
        if mutant == good {
            continue; // the same bit twice
        }
        assert!(verifier.verify(&mutant).await.is_err(), "{mutant}");
        tried += 1;
    }
    assert!(verifier.verify(&good).await.is_ok());
}
