//! What a wrong password costs, and what a wrong address does, when somebody signs in or has forgotten the password: as much,
//! so that nobody learns who has an account. What can be counted is counted; the time of a sign-in is only compared.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use e2e::users::fresh_email;
use e2e::wait::SOON;
use e2e::{Stack, eventually};
use serde_json::json;

use crate::own::Own;

/// Each account and each address may guess as often as these tests do.
const GENEROUS: [(&str, &str); 5] = [
    ("IDENTITY_LIMIT_MAIL_REQUESTS", "100000/1m"),
    ("IDENTITY_LIMIT_MAILS", "100000/1m"),
    ("IDENTITY_LIMIT_SIGN_INS", "100000/1m"),
    ("IDENTITY_LIMIT_GUESSES", "100000/1m"),
    ("IDENTITY_LIMIT_STRANGERS", "100000/1m"),
];
/// As passwords of the stack are hashed, and twice that: those of the stack are old ones then, and what is missing is exactly
/// as many KiB.
const ITERATIONS: [(&str, u64); 2] = [("2", 2), ("4", 4)];
const MEMORY_KIB: u64 = 19_456;

/// An instance whose passwords cost this, an address with a user and one without.
struct Case {
    own: Own,
    user: String,
    nobody: String,
}

impl Case {
    async fn new(iterations: &str) -> anyhow::Result<Self> {
        let mut settings = vec![("IDENTITY_ARGON2_ITERATIONS", iterations)];
        settings.extend(GENEROUS);
        Ok(Self {
            own: Own::start(&settings).await?,
            user: Stack::from_env().customer().await?.email,
            nobody: fresh_email("nobody"),
        })
    }

    async fn fail(&self, email: &str) -> anyhow::Result<()> {
        let body = json!({"email": email, "password": "not the password"});
        let call = self.own.api.post("/v1/sessions").json(&body);
        call.send().await?.expect_problem(401, "bad-credentials")?;
        Ok(())
    }

    /// What the instance has cost so far: requests to the database, and KiB hashed.
    async fn cost(&self) -> anyhow::Result<[u64; 2]> {
        let counts = ["cql_requests_total ", "passwords_work_kib_total "];
        self.counts(counts).await
    }

    /// What these metrics count.
    async fn counts<const N: usize>(&self, names: [&str; N]) -> anyhow::Result<[u64; N]> {
        let text = self.own.admin.get("/metrics").send().await?.text();
        let mut counts = [0; N];
        for (name, found) in names.into_iter().zip(&mut counts) {
            let count = text.lines().find_map(|line| line.strip_prefix(name));
            let count = count.map_or(Ok(0), |count| count.trim().parse());
            *found = count.context(name.to_owned())?;
        }
        Ok(counts)
    }

    /// What asking for a new password with `email` costs, with all that is done after the answer.
    async fn cost_of_reset(&self, email: &str) -> anyhow::Result<[u64; 2]> {
        const SETTLED: [&str; 1] = ["mail_requests_settled_total "];
        let ([settled], before) = (self.counts(SETTLED).await?, self.cost().await?);
        let call = self.own.api.post("/v1/password-resets");
        let answer = call.json(&json!({"email": email})).send().await?;
        ensure!(answer.status == 202, "{answer}");
        eventually(SOON, "the mail to be asked for", async || {
            let [now] = self.counts(SETTLED).await?;
            Ok((now > settled).then_some(()))
        })
        .await?;
        let after = self.cost().await?;
        Ok([after[0] - before[0], after[1] - before[1]])
    }

    /// What failing with `email` costs.
    async fn cost_of(&self, email: &str) -> anyhow::Result<[u64; 2]> {
        let before = self.cost().await?;
        self.fail(email).await?;
        let after = self.cost().await?;
        Ok([after[0] - before[0], after[1] - before[1]])
    }

    /// Seconds that failing with `email` takes.
    async fn time_of(&self, email: &str) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.fail(email).await?;
        Ok(began.elapsed().as_secs_f64())
    }
}

#[tokio::test]
async fn a_wrong_address_costs_what_a_wrong_password_costs() -> anyhow::Result<()> {
    /// The jobs of the instance ask the database as well, now and then: the least of some is without them.
    const TRIES: usize = 20;
    for (setting, iterations) in ITERATIONS {
        let case = Case::new(setting).await?;
        let mut least = [u64::MAX; 2];
        for _ in 0..TRIES {
            for (email, least) in [&case.user, &case.nobody].into_iter().zip(&mut least) {
                let [requests, kib] = case.cost_of(email).await?;
                assert_eq!(kib, MEMORY_KIB * iterations, "{email} at {setting}");
                *least = requests.min(*least);
            }
        }
        let [user, nobody] = least;
        assert_eq!(user, nobody, "requests at {setting}");
        // Whose the address is, the user, the entry in the trail and its place there.
        assert_eq!(user, 4, "requests at {setting}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_for_nobody_costs_what_one_for_a_user_costs() -> anyhow::Result<()> {
    /// As above.
    const TRIES: usize = 20;
    let case = Case::new("2").await?;
    let mut least = [u64::MAX; 2];
    for _ in 0..TRIES {
        for (email, least) in [&case.user, &case.nobody].into_iter().zip(&mut least) {
            let [requests, kib] = case.cost_of_reset(email).await?;
            assert_eq!(kib, 0, "{email}");
            *least = requests.min(*least);
        }
    }
    let [user, nobody] = least;
    assert_eq!(user, nobody, "requests");
    // Whose the address is, the user, the entry in the trail and its place there, and what is owed; after the answer the user
    // again, the link, and that nothing is owed any more.
    assert_eq!(user, 8, "requests");
    Ok(())
}

#[tokio::test]
async fn a_wrong_address_takes_as_long_as_a_wrong_password() -> anyhow::Result<()> {
    /// One without a hash, or with half of one, is off by much more.
    const MOST: f64 = 1.15;
    /// Two that follow each other find the machine alike busy, so the median of what they differ by is steady: of so many
    /// pairs, and, where that is not enough for a machine that does much else, of so many times as many.
    const PAIRS: usize = 50;
    const LOOKS: usize = 6;
    for (setting, _) in ITERATIONS {
        let case = Case::new(setting).await?;
        let mut ratios = Vec::new();
        let mut median = f64::NAN;
        for _ in 0..LOOKS {
            for pair in 0..PAIRS {
                // Neither is always the first.
                let (first, second) = match pair % 2 {
                    0 => (&case.user, &case.nobody),
                    _ => (&case.nobody, &case.user),
                };
                let ratio = case.time_of(first).await? / case.time_of(second).await?;
                ratios.push(if pair % 2 == 0 { ratio } else { ratio.recip() });
            }
            ratios.sort_by(f64::total_cmp);
            median = ratios[ratios.len() / 2];
            eprintln!("at {setting}: {median:.3} of {} pairs", ratios.len());
            if (MOST.recip()..=MOST).contains(&median) {
                break;
            }
        }
        ensure!(
            (MOST.recip()..=MOST).contains(&median),
            "at {setting} a wrong password takes {median:.3} of what a wrong address takes"
        );
    }
    Ok(())
}
