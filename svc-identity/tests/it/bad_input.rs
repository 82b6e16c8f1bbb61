//! Bodies that are refused, and with what.

use e2e::Stack;
use e2e::users::fresh_email;
use serde_json::{Value, json};

use crate::registration;

/// A registration with one field changed; null takes it away.
fn with(field: &str, value: Value) -> Value {
    let mut body = registration();
    match value {
        Value::Null => _ = body.as_object_mut().and_then(|body| body.remove(field)),
        value => body[field] = value,
    }
    body
}

#[tokio::test]
async fn a_registration_that_is_wrong_names_the_field() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let long_email = format!("{}@{}.com", "a".repeat(64), "b.".repeat(93) + "b");
    for (body, pointer, code) in [
        (
            json!(["alice@example.com", "correct horse battery", "Alice"]),
            "",
            "type",
        ),
        (with("email", json!(null)), "/email", "required"),
        (with("password", json!(null)), "/password", "required"),
        (with("name", json!(null)), "/name", "required"),
        (with("admin", json!(true)), "/admin", "unknown"),
        (with("roles", json!(["admin"])), "/roles", "unknown"),
        (with("email", json!(7)), "/email", "type"),
        (with("password", json!(12345678)), "/password", "type"),
        (with("name", json!(["a"])), "/name", "type"),
        (with("phone", json!(33612345678_u64)), "/phone", "type"),
        (with("email", json!("alice")), "/email", "form"),
        (
            with("email", json!("a@example.com\nBcc: b@example.com")),
            "/email",
            "form",
        ),
        (with("email", json!(long_email)), "/email", "length"),
        (with("password", json!("1234567")), "/password", "length"),
        (
            with("password", json!("💺".repeat(1_025))),
            "/password",
            "length",
        ),
        (with("password", json!("Password1")), "/password", "common"),
        (with("name", json!(" ")), "/name", "length"),
        (with("name", json!("a".repeat(201))), "/name", "length"),
        (with("name", json!("a\r\nb")), "/name", "form"),
        (with("phone", json!("0612345678")), "/phone", "form"),
        (with("locale", json!("de")), "/locale", "unknown"),
    ] {
        let answer = stack
            .identity()
            .post("/v1/users")
            .json(&body)
            .send()
            .await?;
        let problem = answer.expect_problem(422, "invalid")?;
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(pointer), &json!(code)),
            "{problem}"
        );
        assert!(
            error["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty()),
            "{problem}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_told_at_once_and_without_the_password() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let body =
        json!({"email": "x", "password": "s3cr3t!", "name": "", "phone": "1", "locale": "xx"});
    let answer = stack
        .identity()
        .post("/v1/users")
        .json(&body)
        .send()
        .await?;
    assert!(!answer.text().contains("s3cr3t!"), "{answer}");
    let problem = answer.expect_problem(422, "invalid")?;
    let errors = problem["errors"].as_array().into_iter().flatten();
    let pointers: Vec<&str> = errors
        .filter_map(|error| error["pointer"].as_str())
        .collect();
    assert_eq!(
        pointers,
        ["/email", "/password", "/name", "/phone", "/locale"]
    );
    Ok(())
}

#[tokio::test]
async fn the_longest_values_are_accepted() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let password = "💺".repeat(1_024);
    let email = fresh_email("longest");
    // As wide as JSON can write it.
    let escaped = "\\ud83d\\udcba".repeat(1_024);
    let name = "ü".repeat(200);
    let body = format!(
        r#"{{"email":"{email}","password":"{escaped}","name":"{name}","phone":null,"locale":null}}"#
    );
    stack
        .identity()
        .post("/v1/users")
        .body("application/json", body)
        .send()
        .await?
        .expect(201)?;
    let credentials = json!({"email": email, "password": password});
    stack
        .identity()
        .post("/v1/sessions")
        .json(&credentials)
        .send()
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_is_no_json_is_refused_before_it_is_read() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let post = |content_type: &str, body: Vec<u8>| {
        stack.identity().post("/v1/users").body(content_type, body)
    };
    let json = "application/json";
    post(json, b"{".to_vec())
        .send()
        .await?
        .expect_problem(400, "malformed")?;
    post(json, vec![])
        .send()
        .await?
        .expect_problem(400, "malformed")?;
    post(json, vec![0xff, 0xfe])
        .send()
        .await?
        .expect_problem(400, "malformed")?;
    post(json, b"[]".to_vec())
        .send()
        .await?
        .expect_problem(422, "invalid")?;
    let body = registration().to_string().into_bytes();
    post("text/plain", body)
        .send()
        .await?
        .expect_problem(415, "unsupported-media-type")?;
    post(json, vec![b' '; 70_000])
        .send()
        .await?
        .expect_problem(413, "too-large")?;
    Ok(())
}

#[tokio::test]
async fn credentials_that_are_wrong_name_the_field() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for (body, pointer) in [
        (json!({"email": "a@example.com"}), "/password"),
        (json!({"password": "x"}), "/email"),
        (json!({"email": "alice", "password": "x"}), "/email"),
        (
            json!({"email": "a@example.com", "password": "x".repeat(1_025)}),
            "/password",
        ),
        (
            json!({"email": "a@example.com", "password": "x", "remember": true}),
            "/remember",
        ),
    ] {
        let answer = stack
            .identity()
            .post("/v1/sessions")
            .json(&body)
            .send()
            .await?;
        let problem = answer.expect_problem(422, "invalid")?;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let refresh = |body: Value| stack.identity().post("/v1/sessions/refresh").json(&body);
    refresh(json!({}))
        .send()
        .await?
        .expect_problem(422, "invalid")?;
    refresh(json!({"refresh_token": 1}))
        .send()
        .await?
        .expect_problem(422, "invalid")?;
    Ok(())
}
