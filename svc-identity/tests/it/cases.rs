//! The support desk: what customers ask and support answers.

use anyhow::Context as _;
use e2e::users::id_of;
use e2e::{Answer, Api, Role, Stack, User};
use platform::ids::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::crashes::database;

const CASES: &str = "/v1/support/cases";

/// A case of `customer`.
pub(crate) async fn open(
    api: &Api,
    customer: &User,
    subject: &str,
    message: &str,
) -> anyhow::Result<Value> {
    let body = json!({"subject": subject, "message": message});
    let call = api.post(CASES).by(customer).json(&body);
    call.send().await?.expect(201)
}

async fn write(api: &Api, by: &User, case: Uuid, message: &str) -> anyhow::Result<Answer> {
    let call = api.post(format!("{CASES}/{case}/messages")).by(by);
    call.json(&json!({"message": message})).send().await
}

async fn set(api: &Api, by: &User, case: Uuid, status: &str) -> anyhow::Result<Answer> {
    let call = api.patch(format!("{CASES}/{case}")).by(by);
    call.json(&json!({"status": status})).send().await
}

/// All that `query` lists, on small pages.
async fn listed(api: &Api, by: &User, query: &str) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{CASES}?limit=2&{query}&cursor={cursor}");
        let page = api.get(path).by(by).send().await?.expect(200)?;
        found.extend(page["items"].as_array().context("items")?.clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(found),
        }
    }
}

fn has(cases: &[Value], id: Uuid) -> bool {
    cases.iter().any(|case| case["id"] == json!(id))
}

#[tokio::test]
async fn a_case_goes_back_and_forth() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, customer) = (stack.identity(), stack.customer().await?);
    let support = stack.user(&[Role::Support]).await?;
    let body = json!({"subject": " No tickets ", "message": "I paid.\r\nI got no mail."});
    let opened = api.post(CASES).by(&customer).json(&body).send().await?;
    assert_eq!(opened.etag()?, "\"1\"");
    let opened = opened.expect(201)?;
    let id = id_of(&opened)?;
    assert_eq!(
        (&opened["subject"], &opened["status"], &opened["order_id"]),
        (&json!("No tickets"), &json!("open"), &Value::Null)
    );
    assert_eq!(opened["user_id"], json!(customer.id));
    let first = &opened["messages"][0];
    assert_eq!(
        (&first["author"], &first["text"]),
        (&json!("customer"), &json!("I paid.\nI got no mail."))
    );
    assert!(has(&listed(api, &support, "status=open").await?, id));

    let answered = write(api, &support, id, "We sent it again.").await?;
    assert_eq!(answered.etag()?, "\"2\"");
    let answered = answered.expect(201)?;
    assert_eq!(answered["status"], "pending");
    assert_eq!(answered["messages"][1]["author"], "support");
    assert!(!answered.to_string().contains(&support.id.to_string()));
    assert!(!has(&listed(api, &support, "status=open").await?, id));
    assert!(has(&listed(api, &support, "status=pending").await?, id));

    let path = format!("{CASES}/{id}");
    let seen = api.get(&path).by(&customer).send().await?;
    assert_eq!(seen.etag()?, "\"2\"");
    assert_eq!(seen.expect(200)?, answered);
    let closed = set(api, &support, id, "closed").await?.expect(200)?;
    assert_eq!(closed["status"], "closed");
    let same = set(api, &customer, id, "closed").await?;
    assert_eq!(same.etag()?, "\"3\"");
    // Who writes again opens it again.
    let again = write(api, &customer, id, "It is not there.").await?;
    let again = again.expect(201)?;
    assert_eq!(
        (&again["status"], &again["messages"][2]["text"]),
        (&json!("open"), &json!("It is not there."))
    );
    let of_customer = format!("user_id={}", customer.id);
    let all = listed(api, &support, &of_customer).await?;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["changed_at"], again["changed_at"]);
    assert!(all[0].get("messages").is_none(), "{all:?}");
    Ok(())
}

#[tokio::test]
async fn a_case_is_its_customers_and_supports() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, customer, other) = (
        stack.identity(),
        stack.customer().await?,
        stack.customer().await?,
    );
    let id = id_of(&open(api, &customer, "Mine", "Only mine.").await?)?;
    let path = format!("{CASES}/{id}");
    let seen = api.get(&path).by(&other).send().await?;
    seen.expect_problem(404, "not-found")?;
    let written = write(api, &other, id, "Mine, too.").await?;
    written.expect_problem(404, "not-found")?;
    let changed = set(api, &other, id, "closed").await?;
    changed.expect_problem(404, "not-found")?;
    let others = format!("{CASES}?user_id={}", customer.id);
    let request_id = format!("audit-{}", new_id());
    let others = api.get(others).by(&other).request_id(&request_id);
    others.send().await?.expect_problem(403, "forbidden")?;
    let denied = crate::audit::entries(&stack, std::slice::from_ref(&request_id)).await?;
    let denied = denied.get(&request_id).context("the denial")?;
    assert_eq!(
        (&denied["action"], &denied["actor_id"], &denied["user_id"]),
        (&json!("denied"), &json!(other.id), &json!(customer.id))
    );
    assert!(listed(api, &other, "").await?.is_empty());

    let pending = set(api, &customer, id, "pending").await?;
    pending.expect_problem(403, "forbidden")?;
    let stale = api.patch(&path).by(&customer).if_match("\"7\"");
    let stale = stale.json(&json!({"status": "closed"})).send().await?;
    stale.expect_problem(412, "stale")?;
    let shown = api.get(&path).by(&customer).send().await?;
    assert_eq!(shown.etag()?, "\"1\"");
    Ok(())
}

#[tokio::test]
async fn cases_come_newest_first_in_pages() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, customer) = (stack.identity(), stack.customer().await?);
    let mut opened = Vec::new();
    for number in 0..5 {
        let case = open(api, &customer, &format!("Number {number}"), "Please.").await?;
        opened.insert(0, id_of(&case)?);
    }
    set(api, &customer, opened[1], "closed")
        .await?
        .expect(200)?;
    let ids = |cases: Vec<Value>| cases.iter().map(id_of).collect::<anyhow::Result<Vec<_>>>();
    assert_eq!(ids(listed(api, &customer, "").await?)?, opened);
    let support = stack.user(&[Role::Support]).await?;
    let still = ids(listed(api, &support, "status=open").await?)?;
    let still: Vec<Uuid> = still.into_iter().filter(|id| opened.contains(id)).collect();
    assert_eq!(still, [opened[0], opened[2], opened[3], opened[4]]);
    let all = ids(listed(api, &support, "").await?)?;
    let all: Vec<Uuid> = all.into_iter().filter(|id| opened.contains(id)).collect();
    assert_eq!(all, opened);
    Ok(())
}

#[tokio::test]
async fn a_case_that_is_wrong_names_the_field() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, customer) = (stack.identity(), stack.customer().await?);
    let good = |field: &str, value: Value| {
        let mut body = json!({"subject": "Help", "message": "Please."});
        body[field] = value;
        body
    };
    for (body, pointer, code) in [
        (good("subject", json!("")), "/subject", "length"),
        (good("subject", json!("a\nb")), "/subject", "form"),
        (
            good("subject", json!("a".repeat(201))),
            "/subject",
            "length",
        ),
        (good("message", json!(" ")), "/message", "length"),
        (good("message", json!("a\u{7}")), "/message", "form"),
        (
            good("message", json!("😀".repeat(4_001))),
            "/message",
            "length",
        ),
        (good("order_id", json!("O-1")), "/order_id", "invalid"),
        (good("order_id", json!(new_id())), "/order_id", "unknown"),
        (good("status", json!("open")), "/status", "unknown"),
    ] {
        let refused = api.post(CASES).by(&customer).json(&body).send().await?;
        let problem = refused.expect_problem(422, "invalid")?;
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(pointer), &json!(code)),
            "{problem}"
        );
    }
    let id = id_of(&open(api, &customer, "Help", &"😀".repeat(4_000)).await?)?;
    let unknown = set(api, &customer, id, "done").await?;
    unknown.expect_problem(422, "invalid")?;
    let empty = write(api, &customer, id, "").await?;
    empty.expect_problem(422, "invalid")?;
    for query in ["status=done", "user_id=me", "cursor=nonsense", "order=old"] {
        let refused = api.get(format!("{CASES}?{query}")).by(&customer);
        refused.send().await?.expect_problem(422, "invalid")?;
    }
    Ok(())
}

#[tokio::test]
async fn cases_go_with_the_person() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, customer) = (stack.identity(), stack.customer().await?);
    let support = stack.user(&[Role::Support]).await?;
    let marker = format!("marker-{}", new_id().simple());
    let id = id_of(&open(api, &customer, &marker, &marker).await?)?;
    write(api, &support, id, &marker).await?.expect(201)?;
    // One that a crash left without its case, and that may still be made by who is slow.
    let half = new_id();
    let database = database(&stack).await?;
    let place =
        "INSERT INTO cases_by_user (user_id, opened_at, case_id) VALUES (?, '2026-06-01', ?)";
    database.query_unpaged(place, (customer.id, half)).await?;

    let erased = api.delete("/v1/users/me").by(&customer).send().await?;
    assert_eq!(erased.status, 204, "{erased}");
    let seen = api.get(format!("{CASES}/{id}")).by(&support).send().await?;
    seen.expect_problem(404, "not-found")?;
    let late = write(api, &support, id, "Are you there?").await?;
    late.expect_problem(404, "not-found")?;
    let opened = json!({"subject": "Me", "message": "Still here."});
    let opened = api.post(CASES).by(&customer).json(&opened).send().await?;
    opened.expect_problem(404, "not-found")?;
    assert!(!has(&listed(api, &support, "status=pending").await?, id));
    for case in [id, half] {
        let rows = database
            .query_unpaged(
                "SELECT JSON * FROM support_cases WHERE case_id = ?",
                (case,),
            )
            .await?
            .into_rows_result()?;
        let rows = rows.rows::<(String,)>()?.collect::<Result<Vec<_>, _>>()?;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let (row,) = &rows[0];
        assert!(
            row.contains("\"erased\"") && !row.contains(&marker),
            "{row}"
        );
        assert!(!row.contains(&customer.id.to_string()), "{row}");
    }
    Ok(())
}
