//! Registering, and what other services learn of it.

use std::time::Duration;

use e2e::Stack;
use e2e::users::{fresh_email, id_of, sign_in};
use futures::future::join_all;
use platform::kafka::partition_of;
use schemas::identity::UserSnapshot;
use serde_json::{Value, json};

use crate::registration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_new_user_is_a_customer_and_can_sign_in() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let email = fresh_email("Alice");
    let body = json!({
        "email": format!(" {email} "), "password": "пароль 🎫 passphrase", "name": " Alice Dupont ",
        "phone": "+33 6 12-34-56-78", "locale": "fr",
    });
    let created = stack
        .identity()
        .post("/v1/users")
        .json(&body)
        .send()
        .await?;
    let etag = created.etag()?;
    let mut user = created.expect(201)?;

    let id = id_of(&user)?;
    anyhow::ensure!(
        user["created_at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z')),
        "{user}"
    );
    let expected = json!({
        "email": email, "name": "Alice Dupont", "phone": "+33612345678", "locale": "fr",
        "roles": ["customer"], "email_verified": false,
        "id": user["id"].take(), "created_at": user["created_at"].take(),
    });
    for name in ["id", "created_at"] {
        user[name] = expected[name].clone();
    }
    assert_eq!(user, expected);

    // Whatever the case of the address; and the same user, to the letter.
    let credentials = json!({"email": email.to_uppercase(), "password": "пароль 🎫 passphrase"});
    let session = stack
        .identity()
        .post("/v1/sessions")
        .json(&credentials)
        .send()
        .await?
        .expect(200)?;
    let token = session["access_token"].as_str().unwrap_or_default();
    let me = stack
        .identity()
        .get("/v1/users/me")
        .token(token)
        .send()
        .await?;
    assert_eq!(me.etag()?, etag);
    assert_eq!(me.expect(200)?, user);

    let mut topic = stack.records("identity.users")?;
    let (record, snapshot) = topic.wait_for_key::<UserSnapshot>(id, SOON).await?;
    assert_eq!(record.partition, partition_of(id, 6));
    assert_eq!(record.headers["ce_source"], "/svc-identity");
    assert_eq!(record.headers["ce_type"], "ticketing.identity.UserSnapshot");
    assert_eq!(record.headers["ce_subject"], id.to_string());
    assert_eq!((snapshot.user_id, snapshot.version), (id, 1));
    assert_eq!(
        (snapshot.email, snapshot.name.as_str()),
        (email, "Alice Dupont")
    );
    assert_eq!(snapshot.phone.as_deref(), Some("+33612345678"));
    assert_eq!(
        (snapshot.locale.as_str(), snapshot.roles),
        ("fr", vec!["customer".to_owned()])
    );
    assert!(!snapshot.email_verified);
    Ok(())
}

#[tokio::test]
async fn without_a_locale_the_browsers_language_counts() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for (language, locale) in [("de, es-MX;q=0.8, en;q=0.5", "es"), ("de", "en")] {
        let call = stack
            .identity()
            .post("/v1/users")
            .json(&registration())
            .language(language);
        assert_eq!(call.send().await?.expect(201)?["locale"], locale);
    }
    Ok(())
}

#[tokio::test]
async fn an_address_is_taken_in_any_case() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let mut body = registration();
    stack
        .identity()
        .post("/v1/users")
        .json(&body)
        .send()
        .await?
        .expect(201)?;
    let email = body["email"].as_str().unwrap_or_default().to_uppercase();
    body["email"] = Value::from(email);
    body["password"] = Value::from("another password");
    let second = stack
        .identity()
        .post("/v1/users")
        .json(&body)
        .send()
        .await?;
    second.expect_problem(409, "email-taken")?;
    Ok(())
}

#[tokio::test]
async fn of_twenty_at_once_one_gets_the_address() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let email = fresh_email("race");
    let register = async |number: usize| {
        let body = json!({
            "email": email, "password": format!("password {number:02}"), "name": format!("Number {number}"),
        });
        stack.identity().post("/v1/users").json(&body).send().await
    };
    let answers: Vec<_> = join_all((0..20).map(register))
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;

    let winners: Vec<usize> = (0..20)
        .filter(|number| answers[*number].status == 201)
        .collect();
    let [winner] = winners[..] else {
        anyhow::bail!("{} answered 201", winners.len());
    };
    let id = id_of(&answers[winner].body)?;
    for (number, answer) in answers
        .into_iter()
        .enumerate()
        .filter(|(number, _)| *number != winner)
    {
        answer.expect_problem(409, "email-taken")?;
        let credentials = json!({"email": email, "password": format!("password {number:02}")});
        let loser = stack
            .identity()
            .post("/v1/sessions")
            .json(&credentials)
            .send()
            .await?;
        loser.expect_problem(401, "bad-credentials")?;
    }
    let credentials = json!({"email": email, "password": format!("password {winner:02}")});
    stack
        .identity()
        .post("/v1/sessions")
        .json(&credentials)
        .send()
        .await?
        .expect(200)?;

    let snapshots = stack.all_records("identity.users").await?;
    let of_id = snapshots
        .iter()
        .filter(|record| record.key == id.to_string());
    let names: Vec<String> = of_id
        .filter(|record| record.is::<UserSnapshot>())
        .map(|record| Ok(record.read::<UserSnapshot>()?.name))
        .collect::<anyhow::Result<_>>()?;
    // Losers may publish what the winner wrote, and never what they wanted.
    anyhow::ensure!(!names.is_empty(), "nothing was published");
    assert!(
        names.iter().all(|name| *name == format!("Number {winner}")),
        "{names:?}"
    );
    Ok(())
}

#[tokio::test]
async fn somebody_else_stays_somebody_else() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (one, other) = (stack.customer().await?, stack.customer().await?);
    assert_ne!(one.id, other.id);
    let again = sign_in(stack.identity(), &one.email).await?;
    assert_eq!(again.map(|user| user.id), Some(one.id));
    Ok(())
}
