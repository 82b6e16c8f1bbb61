//! What passwords cost: more than when they were chosen, and many at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

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
    let stack = Stack::from_env();
    let own = Own::start(&[
        ("IDENTITY_HASH_THREADS", "2"),
        ("IDENTITY_HASH_QUEUE", "16"),
        ("IDENTITY_LIMIT_SIGN_INS", "1000/1m"),
        // So that it shows whether a call waits for one, and the flood lasts for many calls.
        DEAR,
    ])
    .await?;
    let user = stack.customer().await?;
    let me = || own.api.get("/v1/users/me").by(&user).send();
    // It fetches the keys.
    me().await?.expect(200)?;
    let before = own.peak_mib()?;
    let is_over = AtomicBool::new(false);
    let flood = async {
        let attempts = join_all((0..SIGN_INS).map(async |_| {
            let (nobody, began) = (fresh_email("nobody"), Instant::now());
            let answer = sign_in(&own.api, &nobody, "not the password").await?;
            anyhow::Ok((answer, began.elapsed()))
        }));
        let attempts = attempts.await;
        is_over.store(true, Ordering::SeqCst);
        attempts
    };
    // Calls that need a token and the database and no password.
    let watch = async {
        let mut took = Vec::new();
        while !is_over.load(Ordering::SeqCst) {
            let began = Instant::now();
            me().await?.expect(200)?;
            took.push(began.elapsed());
        }
        anyhow::Ok(took)
    };
    let (attempts, took) = tokio::join!(flood, watch);
    let (mut looked_at, mut turned_away) = (Vec::new(), 0);
    for attempt in attempts {
        match attempt? {
            (answer, took) if answer.status == 401 => {
                answer.expect_problem(401, "bad-credentials")?;
                looked_at.push(took);
            }
            (answer, _) => {
                answer.expect_problem(503, "overloaded")?;
                turned_away += 1;
            }
        }
    }
    assert!(
        looked_at.len() >= 16 && turned_away > 0,
        "{looked_at:?} and {turned_away}"
    );
    let grown = own.peak_mib()? - before;
    assert!(grown < MOST_MIB, "{grown} MiB");
    // Whoever waited for passwords waited for half of the queue: as long as half of those who were in it.
    let mut took = took?;
    took.sort();
    looked_at.sort();
    // Not the slowest of them: now and then the database pauses, for whoever asks it.
    let (median, slow) = (looked_at[looked_at.len() / 2], took[took.len() * 19 / 20]);
    assert!(slow < median, "{median:?} and {took:?}");
    // And most are quicker than the first who got his turn, who waited for one password: his own.
    assert!(
        took.len() >= 10 && took[took.len() / 2] < looked_at[0],
        "{took:?} and {looked_at:?}"
    );
    Ok(())
}
