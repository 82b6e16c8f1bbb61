//! nginx, which gives away the same bytes from a file: about as fast as this machine can give them away.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench::connection::connect;
use e2e::eventually;

/// Where it is; Debian keeps it out of the path of those who are not root.
const PROGRAMS: [&str; 2] = ["nginx", "/usr/sbin/nginx"];
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A running nginx. It ends when this is dropped.
pub(crate) struct Nginx {
    program: &'static str,
    folder: PathBuf,
    process: Child,
    /// Where it listens.
    pub(crate) authority: String,
}

impl Nginx {
    /// Starts one that answers `address` with `body`; `None`: it is not installed.
    pub(crate) async fn start(address: &str, body: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(program) = PROGRAMS.into_iter().find(|program| is_there(program)) else {
            return Ok(None);
        };
        let folder = std::env::temp_dir().join(format!("bench-nginx-{}", std::process::id()));
        let page = folder.join("pages").join(address.trim_start_matches('/'));
        fs::create_dir_all(page.parent().context("an address with a folder")?)?;
        fs::write(&page, body)?;
        // Free a moment ago. Nobody else starts servers on this machine while it is measured.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let authority = format!("127.0.0.1:{port}");
        fs::write(folder.join("nginx.conf"), settings(&authority))?;
        let process = in_folder(program, &folder)
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let mut nginx = Self {
            program,
            folder,
            process,
            authority,
        };
        eventually(STARTS_WITHIN, "nginx", || {
            let connected = connect(&nginx.authority);
            async move { connected.await.map(Some) }
        })
        .await?;
        let died = nginx.process.try_wait()?;
        ensure!(died.is_none(), "nginx ended: {died:?}");
        Ok(Some(nginx))
    }

    /// The process that has the workers as its children.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // By its own command, since its workers outlive a master that is killed.
        let stopped = in_folder(self.program, &self.folder)
            .args(["-s", "stop"])
            .status();
        if stopped.is_ok_and(|status| status.success()) {
            _ = self.process.wait();
        }
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_there(program: &str) -> bool {
    let asked = Command::new(program)
        .arg("-v")
        .stderr(Stdio::null())
        .status();
    !asked.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn in_folder(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-p").arg(folder);
    command.args(["-c", "nginx.conf", "-e", "stderr"]);
    command
}

/// A worker for each core, nothing written, connections kept: as fast as it goes.
fn settings(authority: &str) -> String {
    format!(
        "daemon off;
worker_processes auto;
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  sendfile on;
  tcp_nodelay on;
  open_file_cache max=16;
  keepalive_requests 1000000000;
  client_body_temp_path temp-body;
  proxy_temp_path temp-proxy;
  fastcgi_temp_path temp-fastcgi;
  uwsgi_temp_path temp-uwsgi;
  scgi_temp_path temp-scgi;
  server {{ listen {authority}; root pages; }}
}}
"
    )
}
