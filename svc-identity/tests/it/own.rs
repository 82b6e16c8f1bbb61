//! A svc-identity of a test's own, beside the stack's and with the same rows: with settings that would be in the way of
//! other tests.

use std::io::{BufRead as _, BufReader, PipeReader, pipe};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::Api;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A start on a busy machine.
const STARTED: Duration = Duration::from_secs(60);

/// A running svc-identity. It is killed when it is dropped.
pub(crate) struct Own {
    process: Process,
    pub(crate) api: Api,
    /// Health and metrics.
    pub(crate) admin: Api,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Where it listens, or all that it said before it ended.
type Started = Result<[String; 2], String>;

impl Own {
    /// With the stack's settings but for `settings`, once it is ready. An error, with what it said, as soon as it ends instead.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (output, input) = pipe()?;
        let process = Command::new(env!("CARGO_BIN_EXE_svc-identity"))
            .arg("serve")
            // It takes ports that nobody has, and says which: one that was looked for before may be somebody's by now.
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("ADMIN_ADDR", "127.0.0.1:0")
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", "info,rdkafka=warn,librdkafka=error")
            .env("CQL_KEYSPACE", "identity")
            .env("INSTANCE_NAME", "svc-identity-of-a-test")
            .env("TRUSTED_PROXIES", "127.0.0.1")
            // Nobody is made admin unless the test says so.
            .env_remove("IDENTITY_FIRST_ADMIN_EMAIL")
            .env_remove("IDENTITY_FIRST_ADMIN_PASSWORD")
            .envs(settings.iter().copied())
            .stdout(input.try_clone()?)
            .stderr(input)
            .spawn()?;
        let process = Process(process);
        let (say, started) = oneshot::channel();
        thread::spawn(move || listen(output, say));
        let started = timeout(STARTED, started).await;
        match started.context("svc-identity is not ready, nor has it ended")?? {
            Ok([http, admin]) => Ok(Self {
                process,
                api: Api::new(&format!("http://{http}")),
                admin: Api::new(&format!("http://{admin}")),
            }),
            Err(said) => bail!("svc-identity ended at its start:\n{said}"),
        }
    }

    /// The most memory that the process had so far, in MiB.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let peak = status.lines().find_map(|line| {
            let kib = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
            kib.parse::<u64>().ok()
        });
        let peak = peak.ok_or_else(|| anyhow::anyhow!("no VmHWM in {status}"))?;
        Ok(peak / 1024)
    }
}

/// Reads what the process says until it ends, for a pipe that nobody reads would stop it. All of it is shown with the test
/// when that fails.
fn listen(output: PipeReader, say: oneshot::Sender<Started>) {
    let mut say = Some(say);
    let mut said = String::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        println!("svc-identity of the test: {line}");
        if say.is_none() {
            continue;
        }
        if let Some(addresses) = addresses(&line) {
            // Who waited may have given up.
            _ = say.take().map(|say| say.send(Ok(addresses)));
        }
        said.push_str(&line);
        said.push('\n');
    }
    _ = say.map(|say| say.send(Err(said)));
}

/// Of the line that says that it is ready.
fn addresses(line: &str) -> Option<[String; 2]> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    match line["message"] == "ready" {
        true => Some([text("http")?, text("admin")?]),
        false => None,
    }
}

#[tokio::test]
async fn one_that_cannot_start_says_why_at_once() {
    let wrong = [("IDENTITY_HASH_THREADS", "many")];
    let Err(error) = Own::start(&wrong).await else {
        panic!("it started");
    };
    let said = error.to_string();
    assert!(said.contains("IDENTITY_HASH_THREADS"), "{said}");
}

#[tokio::test]
async fn whoever_has_not_the_key_of_the_signing_keys_does_not_start() {
    let another = BASE64_STANDARD.encode([7; 32]);
    let wrong = [("IDENTITY_KEY_ENCRYPTION_KEY", another.as_str())];
    let Err(error) = Own::start(&wrong).await else {
        panic!("it started");
    };
    let said = error.to_string();
    assert!(said.contains("sealed under another"), "{said}");
}
