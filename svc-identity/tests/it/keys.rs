//! The published keys, and tokens that they do not verify.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::Stack;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use platform::auth::AccessClaims;
use serde_json::{Value, json};

/// What a token says, unverified.
pub(crate) fn claims(token: &str) -> anyhow::Result<Value> {
    let payload = token.split('.').nth(1).context("a JWT has three parts")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

#[tokio::test]
async fn any_library_can_verify_a_token() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.user_who_reads("fr", &[e2e::Role::Gate]).await?;
    let configuration = stack
        .identity()
        .get("/.well-known/openid-configuration")
        .send()
        .await?
        .expect(200)?;
    let issuer = configuration["issuer"].as_str().context("an issuer")?;
    assert_eq!(
        configuration["jwks_uri"],
        format!("{issuer}/.well-known/jwks.json")
    );
    let jwks = stack
        .identity()
        .get("/.well-known/jwks.json")
        .send()
        .await?
        .expect(200)?;
    let private = jwks["keys"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|key| key.get("d").is_some());
    assert!(!private, "a private key is published");

    let header = decode_header(&user.token)?;
    assert_eq!(
        (header.alg, header.typ.as_deref()),
        (Algorithm::EdDSA, Some("at+jwt"))
    );
    let jwks: JwkSet = serde_json::from_value(jwks)?;
    let key = jwks
        .find(&header.kid.context("a key id")?)
        .context("the key is published")?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&["ticketing"]);
    let token = decode::<AccessClaims>(&user.token, &DecodingKey::from_jwk(key)?, &validation)?;
    assert_eq!(
        (token.claims.sub, token.claims.locale.as_str()),
        (user.id, "fr")
    );
    assert_eq!(token.claims.exp - token.claims.iat, 900);
    assert!(token.claims.roles.contains(e2e::Role::Gate));
    Ok(())
}

#[tokio::test]
async fn other_tokens_let_nobody_in() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let [header, payload, signature] = user.token.split('.').collect::<Vec<_>>()[..] else {
        anyhow::bail!("a JWT has three parts");
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut admin = claims(&user.token)?;
    admin["roles"] = json!(["admin"]);
    let mut later = claims(&user.token)?;
    later["exp"] = json!(later["exp"].as_i64().unwrap_or_default() + 3_600);
    let unsigned = part(&json!({"alg": "none", "typ": "at+jwt"}));
    let flipped: String = signature.chars().rev().collect();
    for token in [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{flipped}"),
        format!("{header}.{}.{signature}", part(&admin)),
        format!("{header}.{}.{signature}", part(&later)),
        format!("{unsigned}.{payload}."),
        user.refresh_token.clone(),
        "x".repeat(10_000),
    ] {
        let answer = stack
            .identity()
            .get("/v1/users/me")
            .token(&token)
            .send()
            .await?;
        assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|value| value.starts_with("Bearer"))
        );
        answer.expect_problem(401, "unauthenticated")?;
    }
    Ok(())
}
