//! Requests that are wrong in themselves.

use anyhow::{Context as _, ensure};
use e2e::orders::order_body;
use e2e::{Call, Stack};
use platform::ids::new_id;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// The documented limit of a body.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The documented limit of an `Idempotency-Key`.
const MAX_KEY_CHARS: usize = 255;

/// A POST of an order by someone who may.
async fn an_order() -> anyhow::Result<Call> {
    let stack = Stack::from_env();
    let buyer = stack.customer().await?;
    Ok(stack.gateway().post("/v1/orders").by(&buyer))
}

fn a_body() -> Value {
    order_body(new_id(), &[(new_id(), 1)])
}

/// The problem names this field, with this code and a text.
fn names(problem: &Value, pointer: &str, code: &str) -> anyhow::Result<()> {
    let errors = problem["errors"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let named = errors
        .iter()
        .find(|error| error["pointer"] == pointer && error["code"] == code);
    let told = named.and_then(|error| error["detail"].as_str());
    ensure!(
        told.is_some_and(|detail| !detail.is_empty()),
        "{pointer} {code} is not in {problem}"
    );
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() -> anyhow::Result<()> {
    let answer = an_order()
        .await?
        .body("application/json", "{\"event_id\":")
        .send()
        .await?;
    answer.expect_problem(400, "malformed")?;
    Ok(())
}

#[tokio::test]
async fn an_unknown_field_is_named() -> anyhow::Result<()> {
    let mut body = a_body();
    body["colour"] = json!("red");
    let problem = an_order()
        .await?
        .json(&body)
        .send()
        .await?
        .expect_problem(422, "invalid")?;
    names(&problem, "/colour", "unknown")
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named() -> anyhow::Result<()> {
    let mut body = a_body();
    body["lines"][0]["quantity"] = json!("two");
    let problem = an_order()
        .await?
        .json(&body)
        .send()
        .await?
        .expect_problem(422, "invalid")?;
    names(&problem, "/lines/0/quantity", "type")
}

#[tokio::test]
async fn a_missing_field_is_named() -> anyhow::Result<()> {
    let body = json!({"lines": []});
    let problem = an_order()
        .await?
        .json(&body)
        .send()
        .await?
        .expect_problem(422, "invalid")?;
    names(&problem, "/event_id", "required")
}

#[tokio::test]
async fn another_media_type_is_not_read() -> anyhow::Result<()> {
    let answer = an_order()
        .await?
        .body("text/plain", a_body().to_string())
        .send()
        .await?;
    answer.expect_problem(415, "unsupported-media-type")?;
    Ok(())
}

#[tokio::test]
async fn a_body_above_the_limit_is_too_large() -> anyhow::Result<()> {
    let mut body = a_body();
    body["voucher"] = json!("x".repeat(MAX_BODY_BYTES));
    an_order()
        .await?
        .json(&body)
        .send()
        .await?
        .expect_problem(413, "too-large")?;
    Ok(())
}

/// Where a service reads less than the others: more of it is refused as such through the gateway, however much more
/// it is. (Were the service left to close in the middle of a body, the gateway would say that it is away.)
#[tokio::test]
async fn a_body_above_the_limit_of_its_call_is_too_large() -> anyhow::Result<()> {
    const KIB: usize = 1_024;
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    for (method, path, limit) in [
        (Method::POST, "/v1/users", 64 * KIB),
        (Method::POST, "/v1/sessions", 64 * KIB),
        (Method::PATCH, "/v1/users/me", 64 * KIB),
        (Method::POST, "/v1/users/me/password", 64 * KIB),
        (Method::POST, "/v1/password-resets", 64 * KIB),
        (Method::POST, "/v1/email-changes/confirm", 64 * KIB),
        (Method::POST, "/v1/email-verifications/confirm", 64 * KIB),
        (Method::POST, "/v1/support/cases", 64 * KIB),
        (Method::POST, "/v1/payments/webhooks/stripe", 256 * KIB),
    ] {
        for bytes in [limit + 1, 300 * KIB, 900 * KIB, MAX_BODY_BYTES] {
            let call = stack.gateway().call(method.clone(), path).by(&user);
            let call = call.body("application/json", vec![b' '; bytes]);
            let answer = call
                .send()
                .await
                .with_context(|| format!("{path}, {bytes}"))?;
            let refused = answer.expect_problem(413, "too-large");
            refused.with_context(|| format!("{path}, {bytes}"))?;
        }
        let call = stack.gateway().call(method, path).by(&user).if_match("*");
        let call = call.body("application/json", vec![b' '; limit]);
        let status = call.send().await?.status;
        // No JSON, or in a shop without Stripe no such call.
        ensure!([400, 404].contains(&status), "{path}: {status}");
    }
    Ok(())
}

#[tokio::test]
async fn an_over_long_key_is_named() -> anyhow::Result<()> {
    let key = "k".repeat(MAX_KEY_CHARS + 1);
    let call = an_order().await?.idempotency_key(&key).json(&a_body());
    let problem = call.send().await?.expect_problem(422, "invalid")?;
    names(&problem, "Idempotency-Key", "invalid")
}

#[tokio::test]
async fn an_unknown_path_is_not_found() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let buyer = stack.customer().await?;
    for path in [
        "/v1/nothing",
        "/internal/events",
        "/v1/orders/1/2/3/4",
        "/v1/service-tokens",
    ] {
        let answer = stack.gateway().get(path).by(&buyer).send().await?;
        answer.expect_problem(404, "not-found")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let buyer = stack.customer().await?;
    let answer = stack
        .gateway()
        .call(Method::PATCH, "/v1/orders")
        .by(&buyer)
        .send()
        .await?;
    let allowed = answer.header("allow").unwrap_or_default().to_owned();
    answer.expect_problem(405, "method-not-allowed")?;
    ensure!(
        allowed.contains("GET") && allowed.contains("POST"),
        "Allow: {allowed}"
    );
    Ok(())
}

#[tokio::test]
async fn a_request_id_comes_back() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let id = Uuid::to_string(&new_id());
    let answer = stack
        .gateway()
        .get("/v1/events?limit=none")
        .request_id(&id)
        .send()
        .await?;
    let problem = answer.expect_problem(422, "invalid")?;
    ensure!(problem["instance"] == id, "{problem}");
    names(&problem, "?limit", "type").or_else(|_| names(&problem, "?limit", "invalid"))
}
