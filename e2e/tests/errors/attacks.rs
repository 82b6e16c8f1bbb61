//! What people try who want in with a token that is not theirs: at the gateway, and at each service behind it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::ensure;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use e2e::{Api, Call, Stack};
use futures::{TryStreamExt as _, stream};
use platform::ids::new_id;
use reqwest::Method;
use serde_json::{Value, json};

/// Mutants of a good token, no two alike, that each door is shown: the gateway, where it is one check for all routes, and each
/// service.
const MUTANTS: usize = 10_000;
/// On as many connections, which stay open. A debug build answers slowly, and other tests want to be answered too.
const AT_A_TIME: usize = 32;

/// A call that needs a token.
#[derive(Clone)]
struct Door {
    api: Api,
    method: Method,
    path: &'static str,
}

impl Door {
    fn call(&self, query: &str) -> Call {
        let path = format!("{}{query}", self.path);
        self.api.call(self.method.clone(), path)
    }

    fn shown(&self, what: &str) -> String {
        format!(
            "{} {}{} with {what}",
            self.method,
            self.api.base(),
            self.path
        )
    }
}

/// One of each service, by the gateway and past it.
fn doors(stack: &Stack) -> [Vec<Door>; 2] {
    let of = |apis: [&Api; 4]| {
        let calls = [
            (Method::GET, "/v1/users/me"),
            // A customer may not, and who is nobody hears of that nothing.
            (Method::POST, "/v1/events"),
            (Method::GET, "/v1/orders"),
            (Method::GET, "/v1/notifications"),
        ];
        let doors = apis.into_iter().zip(calls);
        let doors = doors.map(|(api, (method, path))| Door {
            api: api.clone(),
            method,
            path,
        });
        doors.collect::<Vec<_>>()
    };
    let services = [
        stack.identity(),
        stack.catalog(),
        stack.checkout(),
        stack.mailer(),
    ];
    [of([stack.gateway(); 4]), of(services)]
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
    for door in doors(&stack).concat() {
        for (what, token) in forgeries(&user.token)? {
            is_refused(door.call("").token(&token), &door.shown(&what)).await?;
        }
        let answer = door.call("").token(&user.token).send().await?;
        ensure!(answer.status != 401, "the good one: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_counts_once_and_in_its_header() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let (good, bad) = (format!("Bearer {}", user.token), "Bearer a.b.c");
    for door in doors(&stack).concat() {
        let name = "authorization";
        for (first, second) in [(&*good, &*good), (&good, bad), (bad, &good)] {
            let twice = door
                .call("")
                .header(name, first)
                .another_header(name, second);
            is_refused(twice, &door.shown("two headers")).await?;
        }
        for parameter in ["access_token", "token", "jwt", "authorization"] {
            let query = format!("?{parameter}={}", user.token);
            is_refused(door.call(&query), &door.shown(parameter)).await?;
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
    let mut mutants = BTreeSet::new();
    let mut number = 0;
    while mutants.len() < MUTANTS {
        mutants.extend(mutant(&user.token, number)?);
        number += 1;
    }
    let [gateway, services] = doors(&stack);
    let mut checks = vec![("the gateway", gateway)];
    let names = ["svc-identity", "svc-catalog", "svc-checkout", "svc-mailer"];
    checks.extend(
        names
            .into_iter()
            .zip(services.into_iter().map(|door| vec![door])),
    );
    for (name, calls) in checks {
        let (began, calls, refused) = (Instant::now(), &calls, AtomicUsize::new(0));
        stream::iter(mutants.iter().enumerate().map(anyhow::Ok))
            .try_for_each_concurrent(AT_A_TIME, async |(number, mutant)| {
                let door = &calls[number % calls.len()];
                is_refused(door.call("").token(mutant), &door.shown(mutant)).await?;
                refused.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
            .await?;
        let refused = refused.into_inner();
        eprintln!(
            "{name}: {refused} mutants, 0 accepted, in {:?}",
            began.elapsed()
        );
        assert_eq!(refused, MUTANTS, "{name}");
    }
    let good = stack.gateway().get("/v1/users/me").token(&user.token);
    good.send().await?.expect(200)?;
    Ok(())
}
