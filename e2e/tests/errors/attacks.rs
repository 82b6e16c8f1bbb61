//! What people try who want in with a token that is not theirs: at the gateway, and at each service behind it.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use e2e::{Api, Call, Stack};
use futures::{TryStreamExt as _, stream};
use platform::ids::new_id;
use serde_json::{Value, json};

/// Mutants of a good token for the gateway, and as many for the services together.
const MUTANTS: usize = 10_000;
/// A debug build answers slowly, and other tests want to be answered too.
const AT_A_TIME: usize = 16;

/// A call of each service that nobody may make without a token, the gateway's way and directly.
fn doors(stack: &Stack) -> Vec<(Api, &'static str)> {
    let gateway = stack.gateway();
    vec![
        (gateway.clone(), "/v1/users/me"),
        (gateway.clone(), "/v1/orders"),
        (gateway.clone(), "/v1/notifications"),
        (stack.identity().clone(), "/v1/users/me"),
        (stack.checkout().clone(), "/v1/orders"),
        (stack.mailer().clone(), "/v1/notifications"),
        // It has no such call, but a token that is sent must be good.
        (stack.catalog().clone(), "/v1/events?limit=1"),
    ]
}

async fn is_refused(call: Call, what: &str) -> anyhow::Result<()> {
    let answer = call.send().await?;
    ensure!(answer.status == 401, "{what}: {answer}");
    Ok(())
}

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn read(part: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(
        &BASE64_URL_SAFE_NO_PAD.decode(part)?,
    )?)
}

/// `value` with some members replaced, or removed by null.
fn with(value: &Value, changes: &Value) -> Value {
    let mut all = value.as_object().cloned().unwrap_or_default();
    for (name, value) in changes.as_object().into_iter().flatten() {
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    Value::Object(all)
}

/// Tokens that were made out of a good one by somebody without the key.
fn forgeries(token: &str) -> anyhow::Result<Vec<(String, String)>> {
    let [head, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        anyhow::bail!("a token of three parts");
    };
    let (header, claims) = (read(head)?, read(payload)?);
    let mut forged = Vec::new();
    for changes in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "HS256"}),
        json!({"alg": "RS256"}),
        json!({"typ": "JWT"}),
        json!({"typ": null}),
        json!({"kid": null}),
        json!({"kid": "../../../../dev/null"}),
        json!({"kid": "' OR '1'='1"}),
        json!({"kid": "http://127.0.0.1:9/jwks.json"}),
        json!({"jku": "http://127.0.0.1:9/jwks.json"}),
        json!({"x5u": "http://127.0.0.1:9/cert.pem"}),
        json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}),
        json!({"crit": ["exp"]}),
        json!({"crit": ["x"], "x": 1}),
    ] {
        let other = part(&with(&header, &changes));
        forged.push((
            changes.to_string(),
            format!("{other}.{payload}.{signature}"),
        ));
        forged.push((
            format!("{changes}, unsigned"),
            format!("{other}.{payload}."),
        ));
    }
    for changes in [
        json!({"roles": ["admin"]}),
        json!({"sub": new_id()}),
        json!({"exp": null}),
        json!({"exp": 9_999_999_999_i64}),
        json!({"iss": "http://evil.example"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": null}),
    ] {
        let other = part(&with(&claims, &changes));
        forged.push((changes.to_string(), format!("{head}.{other}.{signature}")));
    }
    forged.push(("no signature".into(), format!("{head}.{payload}.")));
    forged.push(("two parts".into(), format!("{head}.{payload}")));
    forged.push(("four parts".into(), format!("{token}.{signature}")));
    Ok(forged)
}

#[tokio::test]
async fn no_forgery_gets_in_anywhere() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    for (api, path) in doors(&stack) {
        for (what, token) in forgeries(&user.token)? {
            let what = format!("{} {path} with {what}", api.base());
            is_refused(api.get(path).token(&token), &what).await?;
        }
        let answer = api.get(path).token(&user.token).send().await?;
        ensure!(answer.status == 200, "the good one: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_counts_once_and_in_its_header() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let (good, bad) = (format!("Bearer {}", user.token), "Bearer a.b.c");
    for (api, path) in doors(&stack) {
        let name = "authorization";
        for (first, second) in [(&*good, &*good), (&good, bad), (bad, &good)] {
            let twice = api
                .get(path)
                .header(name, first)
                .another_header(name, second);
            is_refused(twice, &format!("{} {path} with two headers", api.base())).await?;
        }
        if path.starts_with("/v1/events") {
            continue; // without a token it is open
        }
        for parameter in ["access_token", "token", "jwt", "authorization"] {
            let query = format!("{path}?{parameter}={}", user.token);
            let answer = api.get(&query).send().await?;
            ensure!(answer.status == 401, "{answer}");
        }
    }
    Ok(())
}

/// One to four bits of `token` flipped; always the same for the same number.
fn mutant(token: &str, number: usize) -> anyhow::Result<Option<String>> {
    // The output function of SplitMix64: neighbours have nothing in common.
    let mut state = u64::try_from(number)?;
    let mut below = |end: usize| -> anyhow::Result<usize> {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Ok(usize::try_from((z ^ (z >> 31)) >> 33)? % end)
    };
    let mut bytes = token.as_bytes().to_vec();
    for _ in 0..=below(4)? {
        let at = below(bytes.len())?;
        bytes[at] ^= 1 << below(7)?;
    }
    let mutant = String::from_utf8(bytes)?;
    // What cannot stand in a header never gets as far as a door.
    let can_be_sent = mutant.bytes().all(|b| b.is_ascii_graphic());
    Ok(Some(mutant).filter(|mutant| can_be_sent && mutant != token))
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_ten_thousand_mutants_gets_in_anywhere() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let mut mutants = Vec::with_capacity(MUTANTS);
    let mut number = 0;
    while mutants.len() < MUTANTS {
        mutants.extend(mutant(&user.token, number)?);
        number += 1;
    }
    let (gateway, services): (Vec<_>, Vec<_>) = doors(&stack)
        .into_iter()
        .partition(|(api, _)| api.base() == stack.gateway().base());
    for doors in [gateway, services] {
        let doors = &doors;
        stream::iter(mutants.iter().enumerate().map(anyhow::Ok))
            .try_for_each_concurrent(AT_A_TIME, async |(number, mutant)| {
                let (api, path) = &doors[number % doors.len()];
                is_refused(api.get(path).token(mutant), mutant).await
            })
            .await?;
    }
    let answer = stack
        .gateway()
        .get("/v1/users/me")
        .token(&user.token)
        .send();
    ensure!(answer.await.context("the good one")?.status == 200);
    Ok(())
}
