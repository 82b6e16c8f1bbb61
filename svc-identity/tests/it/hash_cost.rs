//! What passwords cost: more than when they were chosen, and many at once.

use std::time::{Duration, Instant};

use e2e::users::fresh_email;
use e2e::{Api, PASSWORD, Stack, User};
use futures::future::join_all;
use serde_json::json;

use crate::crashes::database;
use crate::me;
use crate::own::Own;

async fn hash_of(stack: &Stack, user: &User) -> anyhow::Result<String> {
    let select = "SELECT password_hash FROM users WHERE user_id = ?";
    let database = database(stack).await?;
    let rows = database.query_unpaged(select, (user.id,)).await?;
    Ok(rows.into_rows_result()?.first_row::<(String,)>()?.0)
}

async fn sign_in(api: &Api, email: &str, password: &str) -> anyhow::Result<e2e::Answer> {
    let body = json!({"email": email, "password": password});
    api.post("/v1/sessions").json(&body).send().await
}

/// Six times the default.
const DEAR: (&str, &str) = ("IDENTITY_ARGON2_ITERATIONS", "12");

#[tokio::test]
async fn a_password_is_hashed_anew_when_its_owner_signs_in() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let dear = Own::start(&[DEAR]).await?;
    let user = stack.customer().await?;
    assert!(hash_of(&stack, &user).await?.contains(",t=2,"));
    let wrong = sign_in(&dear.api, &user.email, "not the password").await?;
    wrong.expect_problem(401, "bad-credentials")?;
    assert!(hash_of(&stack, &user).await?.contains(",t=2,"));
    sign_in(&dear.api, &user.email, PASSWORD)
        .await?
        .expect(200)?;
    let renewed = hash_of(&stack, &user).await?;
    assert!(renewed.contains(",t=12,"), "{renewed}");

    // Nobody can tell: the version is the same, and so are the sessions.
    let me = me(&stack, &user).await?;
    assert_eq!(me.etag()?, "\"1\"");
    let body = json!({"refresh_token": user.refresh_token});
    let refresh = stack.identity().post("/v1/sessions/refresh").json(&body);
    refresh.send().await?.expect(200)?;
    // An instance that has not heard of the new cost yet takes nothing back.
    sign_in(stack.identity(), &user.email, PASSWORD)
        .await?
        .expect(200)?;
    assert_eq!(hash_of(&stack, &user).await?, renewed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_take_no_memory_and_nobody_elses_time() -> anyhow::Result<()> {
    const SIGN_INS: usize = 200;
    /// Two hashes of 19 MiB each, and what the requests need; all at once would take 3.8 GiB.
    const MOST_MIB: u64 = 150;
    /// A call that needs a token and the database and no password, on a machine that is busy with two.
    const FAST: Duration = Duration::from_secs(1);
    let stack = Stack::from_env();
    let own = Own::start(&[
        ("IDENTITY_HASH_THREADS", "2"),
        ("IDENTITY_HASH_QUEUE", "16"),
        ("IDENTITY_LIMIT_SIGN_INS", "1000/1m"),
    ])
    .await?;
    let user = stack.customer().await?;
    let me = || own.api.get("/v1/users/me").by(&user).send();
    // It fetches the keys.
    me().await?.expect(200)?;
    let before = own.peak_mib()?;
    let flood = (0..SIGN_INS).map(async |_| {
        let nobody = fresh_email("nobody");
        sign_in(&own.api, &nobody, "not the password").await
    });
    let watch = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            me().await?.expect(200)?;
            slowest = began.elapsed().max(slowest);
        }
        anyhow::Ok(slowest)
    };
    let (answers, slowest) = tokio::join!(join_all(flood), watch);
    let (mut looked_at, mut turned_away) = (0, 0);
    for answer in answers {
        match answer? {
            answer if answer.status == 401 => {
                answer.expect_problem(401, "bad-credentials")?;
                looked_at += 1;
            }
            answer => {
                answer.expect_problem(503, "overloaded")?;
                turned_away += 1;
            }
        }
    }
    assert!(
        looked_at >= 16 && turned_away > 0,
        "{looked_at} and {turned_away}"
    );
    let grown = own.peak_mib()? - before;
    assert!(grown < MOST_MIB, "{grown} MiB");
    let slowest = slowest?;
    assert!(slowest < FAST, "{slowest:?}");
    Ok(())
}
