//! How often somebody may try: at instances of the tests' own, whose limits are low, by clients at addresses that no
//! other test has.

use std::net::Ipv4Addr;

use e2e::users::fresh_email;
use e2e::{Answer, Api, PASSWORD, Stack, User};
use serde_json::{Value, json};

use crate::own::Own;

/// A client at 127.0.7.`host`.
fn at(own: &Own, host: u8) -> Api {
    own.api.from_address(Ipv4Addr::new(127, 0, 7, host))
}

async fn sign_in(api: &Api, email: &str, password: &str) -> anyhow::Result<Answer> {
    let body = json!({"email": email, "password": password});
    api.post("/v1/sessions").json(&body).send().await
}

async fn guess(api: &Api, email: &str) -> anyhow::Result<()> {
    let wrong = sign_in(api, email, "not the password").await?;
    wrong.expect_problem(401, "bad-credentials")?;
    Ok(())
}

/// Of an answer that says when to come back, in so many seconds at most.
fn is_too_often(answer: Answer, within_secs: u64) -> anyhow::Result<()> {
    let seconds = answer.header("retry-after").map(str::parse::<u64>);
    let seconds = seconds.transpose()?.unwrap_or_default();
    anyhow::ensure!(
        (1..=within_secs).contains(&seconds),
        "{answer}; {seconds} s"
    );
    answer.expect_problem(429, "too-many-requests")?;
    Ok(())
}

#[tokio::test]
async fn who_guesses_is_stopped_and_the_owner_gets_in() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let own = Own::start(&[
        ("IDENTITY_LIMIT_GUESSES", "5/1h"),
        ("IDENTITY_LIMIT_STRANGERS", "8/1h"),
    ])
    .await?;
    let (user, nobody) = (stack.customer().await?, fresh_email("nobody"));
    let home = at(&own, 1);
    sign_in(&home, &user.email, PASSWORD).await?.expect(200)?;

    // One address is stopped, the right password or not, and the other account is looked at as before.
    for (host, email) in [(2, &user.email), (3, &nobody)] {
        for _ in 0..5 {
            guess(&at(&own, host), email).await?;
        }
        is_too_often(
            sign_in(&at(&own, host), email, PASSWORD).await?,
            12 * 60 + 1,
        )?;
    }
    // Many addresses are stopped, and that does not tell who has an account.
    for (email, left) in [(&user.email, 2), (&nobody, 3)] {
        for host in 0..left {
            guess(&at(&own, 10 + host), email).await?;
        }
        let refused = sign_in(&at(&own, 20), email, PASSWORD).await?;
        is_too_often(refused, 450 + 1)?;
    }
    // From where the owner signs in nothing has changed, whoever else tries.
    sign_in(&home, &user.email, PASSWORD).await?.expect(200)?;
    guess(&home, &user.email).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_client_says_about_its_address_changes_nothing() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let own = Own::start(&[("IDENTITY_LIMIT_GUESSES", "3/1h")]).await?;
    // Past the gateway nobody is believed; of what the gateway says only the last address is its own.
    let gateway = own.api.clone();
    for (api, behind) in [(at(&own, 1), ""), (gateway, ", 203.0.113.7")] {
        let user = stack.customer().await?;
        let wrong = json!({"email": user.email, "password": "not the password"});
        let claim = |number: u8| {
            let claimed = format!("198.51.100.{number}{behind}");
            let call = api.post("/v1/sessions").json(&wrong);
            call.header("x-forwarded-for", &claimed).send()
        };
        for number in 0..3 {
            let wrong = claim(number).await?;
            wrong.expect_problem(401, "bad-credentials")?;
        }
        is_too_often(claim(9).await?, 20 * 60 + 1)?;
    }
    Ok(())
}

#[tokio::test]
async fn registrations_mails_links_and_password_changes_have_limits() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let own = Own::start(&[
        ("IDENTITY_LIMIT_REGISTRATIONS", "2/1h"),
        ("IDENTITY_LIMIT_MAIL_REQUESTS", "4/1h"),
        ("IDENTITY_LIMIT_MAILS", "2/1h"),
        ("IDENTITY_LIMIT_LINKS", "2/1h"),
        ("IDENTITY_LIMIT_GUESSES", "2/1h"),
    ])
    .await?;
    let half_an_hour = 30 * 60 + 1;
    let (here, there) = (at(&own, 1), at(&own, 2));
    let post = async |api: &Api, path: &str, body: &Value| api.post(path).json(body).send().await;

    let registration = || crate::registration();
    for _ in 0..2 {
        post(&here, "/v1/users", &registration())
            .await?
            .expect(201)?;
    }
    is_too_often(
        post(&here, "/v1/users", &registration()).await?,
        half_an_hour,
    )?;
    post(&there, "/v1/users", &registration())
        .await?
        .expect(201)?;

    // To one account, whoever asks; from one address, whomever for.
    let (user, nobody) = (stack.customer().await?, fresh_email("nobody"));
    for email in [&user.email, &nobody] {
        let body = json!({"email": email});
        for _ in 0..2 {
            post(&here, "/v1/password-resets", &body)
                .await?
                .expect(202)?;
        }
        let elsewhere = post(&there, "/v1/password-resets", &body).await?;
        is_too_often(elsewhere, half_an_hour)?;
    }
    let other = json!({"email": fresh_email("other")});
    is_too_often(
        post(&here, "/v1/password-resets", &other).await?,
        half_an_hour,
    )?;
    // Strangers have used up what they have for this address and for that of nobody, and nothing of the owner's, who
    // wants the one proved and then the other.
    let verify = |user: &User| there.post("/v1/email-verifications").by(user).send();
    let wish = |user: &User, email: &str| {
        let body = json!({"current_password": PASSWORD, "new_email": email});
        let call = at(&own, 3).post("/v1/users/me/email").by(user);
        call.if_match("*").json(&body).send()
    };
    verify(&user).await?.expect(202)?;
    wish(&user, &nobody).await?.expect(202)?;
    // They are counted together, by the account.
    is_too_often(verify(&user).await?, half_an_hour)?;
    is_too_often(wish(&user, &fresh_email("new")).await?, half_an_hour)?;
    let (second, third) = (stack.customer().await?, stack.customer().await?);
    // To one address that is wished for, whoever does.
    wish(&second, &nobody).await?.expect(202)?;
    is_too_often(wish(&third, &nobody).await?, half_an_hour)?;
    verify(&third).await?.expect(202)?;

    let token = json!({"token": "garbage"});
    let reset = json!({"token": "garbage", "new_password": "yet another passphrase"});
    for (path, body) in [("email-verifications", &token), ("password-resets", &reset)] {
        let used = post(&here, &format!("/v1/{path}/confirm"), body).await?;
        used.expect_problem(422, "invalid")?;
    }
    for (path, body) in [
        ("email-changes", &token),
        ("email-verifications", &token),
        ("password-resets", &reset),
    ] {
        let used = post(&here, &format!("/v1/{path}/confirm"), body).await?;
        is_too_often(used, half_an_hour)?;
    }

    // Whoever has got hold of a token guesses no faster.
    let wrong = json!({"current_password": "wrong", "new_password": "yet another passphrase"});
    let change = |api: &Api| {
        api.post("/v1/users/me/password")
            .by(&user)
            .json(&wrong)
            .send()
    };
    for _ in 0..2 {
        change(&here)
            .await?
            .expect_problem(401, "bad-credentials")?;
    }
    is_too_often(change(&here).await?, half_an_hour)?;
    is_too_often(sign_in(&here, &user.email, PASSWORD).await?, half_an_hour)?;
    sign_in(&there, &user.email, PASSWORD).await?.expect(200)?;
    Ok(())
}
