//! All that is held about somebody, held against what he did.

use anyhow::Context as _;
use e2e::users::{id_of, sign_in};
use e2e::wait::SOON;
use e2e::{Role, Stack, TicketType, User, eventually, orders};
use serde_json::{Value, json};

use crate::case_limits::NOWHERE;
use crate::cases::open;
use crate::me;
use crate::own::Own;

const EXPORT: &str = "/v1/users/me/export";

/// The mails of a user, once there is one about an order.
async fn mails(stack: &Stack, user: &User) -> anyhow::Result<Value> {
    eventually(SOON, "the mail about the order", async || {
        let list = stack.mailer().get("/v1/notifications").by(user);
        let items = list.send().await?.expect(200)?["items"].take();
        let all = items.as_array().context("items")?;
        let is_sent = |mail: &Value| mail["status"] == "sent";
        let about_order = all.iter().any(|mail| !mail["order_id"].is_null());
        Ok((about_order && all.iter().all(is_sent)).then_some(items))
    })
    .await
}

/// Has an account, a paid order, a case, two sign-ins and a failed one, and was looked at.
async fn lively(stack: &Stack) -> anyhow::Result<(User, Value)> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(10)];
    let event = stack.published_event(&organizer, &types).await?;
    let (user, support) = (stack.customer().await?, stack.user(&[Role::Support]).await?);
    let lines = [(event.ticket_types[0], 2)];
    let order = orders::place(stack.checkout(), &user, event.id, &lines);
    let order = id_of(&order.send().await?.expect(201)?)?;
    let paid = orders::pay(stack.checkout(), &user, order, orders::CARD_PAID);
    paid.send().await?.expect(200)?;

    let api = stack.identity();
    let case = open(api, &user, "Help", "Please.").await?;
    let case = format!("/v1/support/cases/{}", id_of(&case)?);
    let answer = json!({"message": "Here."});
    let answer = api.post(format!("{case}/messages")).json(&answer);
    answer.by(&support).send().await?.expect(201)?;
    let look = api.get(format!("/v1/support/customers/{}", user.id));
    look.by(&support).send().await?.expect(200)?;
    let wrong = json!({"email": user.email, "password": "not the password"});
    let wrong = api.post("/v1/sessions").json(&wrong).send().await?;
    wrong.expect_problem(401, "bad-credentials")?;
    let again = sign_in(api, &user.email).await?.context("a sign-in")?;
    let out = api.delete("/v1/sessions/current").by(&again);
    assert_eq!(out.send().await?.status, 204);
    let case = api.get(case).by(&user).send().await?.expect(200)?;
    Ok((user, case))
}

#[tokio::test]
async fn an_export_has_everything_that_somebody_did_and_nothing_of_others() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, case) = lively(&stack).await?;
    let mails = mails(&stack, &user).await?;
    let own = stack.checkout().get("/v1/orders").by(&user);
    let orders = own.send().await?.expect(200)?["items"].take();

    let answer = stack.identity().get(EXPORT).by(&user).send().await?;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"export.json\"")
    );
    let export = answer.expect(200)?;
    assert_eq!(export["profile"], me(&stack, &user).await?.expect(200)?);
    assert_eq!(export["orders"], orders);
    assert_eq!(orders[0]["tickets"].as_array().map(Vec::len), Some(2));
    assert_eq!(export["notifications"], mails);
    assert_eq!(export["cases"], json!([case]));
    assert_eq!(export["cut"], json!([]));
    assert_eq!(export["events"], json!([]));
    assert_eq!(export["vouchers"], json!([]));
    let sessions = export["sessions"].as_array().context("sessions")?;
    let ended: Vec<&Value> = sessions.iter().map(|session| &session["ended"]).collect();
    assert_eq!(ended, [&json!(true), &json!(false)]);
    assert_eq!(
        export["sign_in_addresses"].as_array().map(Vec::len),
        Some(1)
    );

    let audit = export["audit"].as_array().context("audit")?;
    let actions: Vec<&str> = audit
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        [
            "exported",
            "signed-out",
            "signed-in",
            "sign-in-failed",
            "customer-seen",
            "case-written",
            "case-opened",
            "signed-in",
            "registered",
        ]
    );
    for entry in audit {
        let by_support = ["customer-seen", "case-written"].contains(&actions_of(entry));
        assert_eq!(entry["client"].is_null(), by_support, "{entry}");
        let by_me = entry["by_me"] == true;
        assert!(!(by_me && by_support), "{entry}");
    }
    Ok(())
}

fn actions_of(entry: &Value) -> &str {
    entry["action"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_export_is_whole_or_not_made() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    for (setting, service) in [
        ("CATALOG_URL", "svc-catalog"),
        ("CHECKOUT_URL", "svc-checkout"),
        ("MAILER_URL", "svc-mailer"),
    ] {
        let own = Own::start(&[(setting, NOWHERE)]).await?;
        let answer = own.api.get(EXPORT).by(&user).send().await?;
        let problem = answer.expect_problem(503, "unavailable")?;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with(service), "{problem}");
    }
    Ok(())
}

#[tokio::test]
async fn who_wants_export_after_export_waits() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let own = Own::start(&[("IDENTITY_LIMIT_EXPORTS", "1/1h")]).await?;
    let user = stack.customer().await?;
    let export = || own.api.get(EXPORT).by(&user).send();
    export().await?.expect(200)?;
    let second = export().await?;
    second.expect_problem(429, "too-many-requests")?;
    Ok(())
}
