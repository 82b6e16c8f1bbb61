//! Who guesses passwords through the gateway is counted by the address that the gateway sees.

use std::net::Ipv4Addr;

use anyhow::ensure;
use e2e::{Api, Stack};
use futures::future::try_join_all;
use serde_json::json;

/// Several times what a local stack lets one address guess at one account (60 in a minute).
const ROUNDS: u8 = 20;
const AT_ONCE: u8 = 10;

#[tokio::test]
async fn whatever_is_claimed_in_a_header_one_client_is_one_client() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let wrong = json!({"email": user.email, "password": "not the password"});
    let at = |host: u8| stack.gateway().from_address(Ipv4Addr::new(127, 0, 8, host));
    let guess = async |api: &Api, round: u8, number: u8| {
        let claimed = format!("198.51.{round}.{number}");
        let call = api.post("/v1/sessions").json(&wrong);
        call.header("x-forwarded-for", &claimed).send().await
    };
    let (here, elsewhere) = (at(1), at(2));
    let mut stopped = None;
    for round in 0..ROUNDS {
        let guesses = (0..AT_ONCE).map(|number| guess(&here, round, number));
        let answers = try_join_all(guesses).await?;
        stopped = answers.into_iter().find(|answer| answer.status == 429);
        if stopped.is_some() {
            break;
        }
    }
    let Some(stopped) = stopped else {
        anyhow::bail!("nobody stopped {} guesses", ROUNDS * AT_ONCE);
    };
    stopped.expect_problem(429, "too-many-requests")?;
    let other = guess(&elsewhere, 0, 0).await?;
    other.expect_problem(401, "bad-credentials")?;
    let signed_in = e2e::users::sign_in(stack.gateway(), &user.email).await?;
    ensure!(signed_in.is_some(), "the owner is locked out");
    Ok(())
}
