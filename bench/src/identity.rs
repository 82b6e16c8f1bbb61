//! How many sign-ins svc-identity takes, held against what the passwords alone cost on the same cores; how fast it says who
//! somebody is; and what the check of a token costs every service.

use std::hint::black_box;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use e2e::{PASSWORD, Stack};
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use platform::auth::Verifier;
use platform::config::AuthConfig;
use serde_json::json;

use crate::calls::{self, Prepared};
use crate::cpu::Processes;
use crate::figures::{Plan, Run};
use crate::users::Buyers;

/// What a password costs by default: svc-identity's `IDENTITY_ARGON2_MEMORY_KIB`, `…_ITERATIONS` and `…_LANES`.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Enough that every core always has a password to look at, and few enough for the queue of those that wait.
const SIGN_IN_CLIENTS: usize = 16;
/// A stack lets one account present 60 passwords a minute: with so many accounts none comes near that.
const ACCOUNTS: usize = 256;
/// Levels of clients that ask who they are.
const READERS: [usize; 2] = [1, 64];
/// Checks of tokens that are known, which take less than the clock can tell one by one.
const CACHED_CHECKS: u32 = 200_000;

/// What came out.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Threads that verified passwords, one for each core.
    pub threads: usize,
    /// Verifications per second of Argon2id alone, one figure for each run.
    pub bare_per_s: Vec<f64>,
    /// `POST /v1/sessions`.
    pub sign_ins: Vec<Run>,
    /// `GET /v1/users/me`.
    pub reads: Vec<Run>,
    /// Time of the first check of a token, in µs.
    pub first_check_us: f64,
    /// Time of every other one, in µs.
    pub cached_check_us: f64,
}

/// Measures all of it.
pub async fn measure(stack: &Stack, plan: Plan, processes: &Processes) -> anyhow::Result<Identity> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut people = Buyers::register(stack, ACCOUNTS).await?;
    let url = stack.identity().base();
    let (mut bare_per_s, mut sign_ins, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    // In turn: what else the machine does in between is in both.
    for _ in 0..plan.runs {
        bare_per_s.push(bare(threads, plan.measured)?);
        let calls = sign_in_calls(people.emails());
        sign_ins.push(calls::run(url, calls, plan, processes).await?);
    }
    for clients in READERS {
        let duration = plan.warm_up + plan.measured;
        for _ in 0..plan.runs {
            let tokens = people.tokens(clients, duration).await?;
            let calls = tokens.iter().map(|token| Ok(vec![who_am_i(token)?]));
            let calls = calls.collect::<anyhow::Result<_>>()?;
            reads.push(calls::run(url, calls, plan, processes).await?);
        }
    }
    let tokens = people.tokens(ACCOUNTS, plan.measured).await?;
    let (first_check_us, cached_check_us) = checks(stack, tokens).await?;
    Ok(Identity {
        threads,
        bare_per_s,
        sign_ins,
        reads,
        first_check_us,
        cached_check_us,
    })
}

/// Passwords per second when nothing else is done than looking at them.
fn bare(threads: usize, measured: Duration) -> anyhow::Result<f64> {
    let (memory_kib, iterations, lanes) = COST;
    let params =
        Params::new(memory_kib, iterations, lanes, None).map_err(|error| anyhow!(error))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2
        .hash_password(PASSWORD.as_bytes())
        .map_err(|error| anyhow!(error))?;
    let began = Instant::now();
    let verified: u32 = thread::scope(|scope| {
        let verify = || {
            let mut verified = 0;
            while began.elapsed() < measured {
                let password = black_box(PASSWORD.as_bytes());
                verified += u32::from(argon2.verify_password(password, &hash).is_ok());
            }
            verified
        };
        let working: Vec<_> = (0..threads).map(|_| scope.spawn(verify)).collect();
        let verified = working.into_iter().map(|working| working.join());
        verified.map(Result::unwrap_or_default).sum()
    });
    ensure!(verified > 0, "no password could be verified");
    Ok(f64::from(verified) / began.elapsed().as_secs_f64())
}

/// Each client signs in accounts of its own.
fn sign_in_calls(emails: &[String]) -> Vec<Vec<Prepared>> {
    let of_client = |client| {
        let own = emails.iter().skip(client).step_by(SIGN_IN_CLIENTS);
        own.map(|email| {
            let credentials = json!({"email": email, "password": PASSWORD});
            Prepared {
                method: Method::POST,
                path: "/v1/sessions",
                authorization: None,
                body: Bytes::from(credentials.to_string()),
            }
        })
        .collect()
    };
    (0..SIGN_IN_CLIENTS).map(of_client).collect()
}

fn who_am_i(token: &str) -> anyhow::Result<Prepared> {
    Ok(Prepared {
        method: Method::GET,
        path: "/v1/users/me",
        authorization: Some(HeaderValue::from_str(&format!("Bearer {token}"))?),
        body: Bytes::new(),
    })
}

/// What the first check of a token takes a service, and what every other one, in µs.
async fn checks(stack: &Stack, tokens: &[String]) -> anyhow::Result<(f64, f64)> {
    let keys = format!("{}/.well-known/jwks.json", stack.identity().base());
    let verifier = Verifier::new(&AuthConfig {
        issuer: stack.gateway().base().to_owned(),
        jwks_url: keys.parse()?,
    })?;
    let check = async |token: &str| {
        let caller = verifier.verify(token).await;
        caller.context("a token that was just issued")
    };
    let (known, new) = tokens.split_first().context("no tokens")?;
    // It fetches the keys.
    check(known).await?;
    let began = Instant::now();
    for token in new {
        black_box(check(token).await?);
    }
    let first = began.elapsed() / u32::try_from(new.len())?;
    let began = Instant::now();
    for (token, _) in tokens.iter().cycle().zip(0..CACHED_CHECKS) {
        black_box(check(token).await?);
    }
    let cached = began.elapsed() / CACHED_CHECKS;
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    Ok((us(first), us(cached)))
}
