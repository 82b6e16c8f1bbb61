//! A svc-identity of a test's own, beside the stack's and with the same rows: with settings that would be in the way of
//! other tests.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::{Api, eventually};

/// A start on a busy machine.
const STARTED: Duration = Duration::from_secs(60);

/// A running svc-identity. It is killed when it is dropped.
pub(crate) struct Own {
    process: Child,
    pub(crate) api: Api,
}

impl Own {
    /// With the stack's settings but for `settings`, once it is ready.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (http, admin) = (free_address()?, free_address()?);
        let process = Command::new(env!("CARGO_BIN_EXE_svc-identity"))
            .arg("serve")
            .env("HTTP_ADDR", &http)
            .env("ADMIN_ADDR", &admin)
            .env("CQL_KEYSPACE", "identity")
            .env("INSTANCE_NAME", "svc-identity-of-a-test")
            .env("TRUSTED_PROXIES", "127.0.0.1")
            // Nobody is made admin unless the test says so.
            .env_remove("IDENTITY_FIRST_ADMIN_EMAIL")
            .env_remove("IDENTITY_FIRST_ADMIN_PASSWORD")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .spawn()?;
        let own = Self {
            process,
            api: Api::new(&format!("http://{http}")),
        };
        let admin = Api::new(&format!("http://{admin}"));
        eventually(STARTED, "svc-identity to be ready", async || {
            let answer = admin.get("/readyz").send().await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
        Ok(own)
    }

    /// The most memory that the process had so far, in MiB.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let peak = status.lines().find_map(|line| {
            let kib = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
            kib.parse::<u64>().ok()
        });
        let peak = peak.ok_or_else(|| anyhow::anyhow!("no VmHWM in {status}"))?;
        Ok(peak / 1024)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Gone already is as good.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Free a moment ago.
fn free_address() -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.to_string())
}
