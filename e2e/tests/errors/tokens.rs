//! Callers who are not who they say, or no longer.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use e2e::Stack;
use platform::clock::Timestamp;
use platform::ids::new_id;
use serde_json::{Value, json};

/// A token of the right form, under the name of the issuer's real key, that this key never signed. It expires
/// `expires_in_seconds` from now.
async fn forged(stack: &Stack, expires_in_seconds: i64) -> anyhow::Result<String> {
    let keys = stack
        .gateway()
        .get("/.well-known/jwks.json")
        .send()
        .await?
        .expect(200)?;
    let kid = keys["keys"][0]["kid"].as_str().context("a key")?;
    let about = stack
        .gateway()
        .get("/.well-known/openid-configuration")
        .send()
        .await?;
    let issuer = about.expect(200)?["issuer"].clone();
    let now = Timestamp::now().as_seconds();
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}));
    let claims = part(json!({
        "iss": issuer, "aud": "ticketing", "sub": new_id(), "roles": ["admin"], "locale": "en",
        "iat": now - 900, "exp": now + expires_in_seconds, "jti": new_id(),
    }));
    let signature = BASE64_URL_SAFE_NO_PAD.encode([7_u8; 64]);
    Ok(format!("{head}.{claims}.{signature}"))
}

#[tokio::test]
async fn without_a_token_the_answer_says_how_to_sign_in() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for api in [stack.gateway(), stack.checkout()] {
        let answer = api.get("/v1/orders").send().await?;
        let challenge = answer
            .header("www-authenticate")
            .unwrap_or_default()
            .to_owned();
        answer.expect_problem(401, "unauthenticated")?;
        ensure!(
            challenge.starts_with("Bearer"),
            "WWW-Authenticate: {challenge:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_forged_token_lets_nobody_in() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let token = forged(&stack, 600).await?;
    for api in [stack.gateway(), stack.checkout()] {
        let answer = api.get("/v1/orders").token(&token).send().await?;
        answer.expect_problem(401, "unauthenticated")?;
    }
    Ok(())
}

/// The gateway looks at the time before the signature, the services look at the signature first and do not tell a
/// forger that his dates are wrong.
#[tokio::test]
async fn an_expired_token_is_told_apart() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let token = forged(&stack, -60).await?;
    let answer = stack
        .gateway()
        .get("/v1/orders")
        .token(&token)
        .send()
        .await?;
    answer.expect_problem(401, "token-expired")?;
    let answer = stack
        .checkout()
        .get("/v1/orders")
        .token(&token)
        .send()
        .await?;
    answer.expect_problem(401, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn an_expired_token_is_not_in_the_way_of_a_new_one() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let token = forged(&stack, -60).await?;
    let nobody = json!({"email": "nobody@example.com", "password": "a long pass phrase"});
    for api in [stack.gateway(), stack.identity()] {
        let answer = api.post("/v1/sessions").token(&token).json(&nobody).send();
        answer.await?.expect_problem(401, "bad-credentials")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_in_the_query_does_not_count() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let buyer = stack.customer().await?;
    let path = format!("/v1/orders?access_token={}", buyer.token);
    stack
        .gateway()
        .get(path)
        .send()
        .await?
        .expect_problem(401, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_user_and_a_wrong_password_are_refused_alike() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let mut refusals = Vec::new();
    for email in [user.email, e2e::users::fresh_email("nobody")] {
        let body = json!({"email": email, "password": "not the right horse"});
        let answer = stack
            .gateway()
            .post("/v1/sessions")
            .json(&body)
            .send()
            .await?;
        let mut problem = answer.expect_problem(401, "bad-credentials")?;
        problem["instance"] = Value::Null;
        refusals.push(problem);
    }
    ensure!(refusals[0] == refusals[1], "{refusals:?}");
    Ok(())
}
