//! The `main` that all services share: `serve | migrate | openapi | healthcheck`, and commands of a service's own.
//!
//! ```no_run
//! # use platform::{Main, Start, run_main, config::Env};
//! # fn openapi() -> utoipa::openapi::OpenApi { Default::default() }
//! # async fn serve(start: Start) -> anyhow::Result<()> { Ok(()) }
//! # async fn migrate(env: Env) -> anyhow::Result<()> { Ok(()) }
//! fn main() -> std::process::ExitCode {
//!     run_main(Main { name: env!("CARGO_PKG_NAME"), openapi }, serve, migrate)
//! }
//! ```

use std::convert::Infallible;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use utoipa::openapi::OpenApi;

use crate::config::{Env, LogConfig};
use crate::shutdown::Shutdown;
use crate::telemetry::{self, LogTo, Metrics};

/// Longest that `healthcheck` waits for an answer.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the shared `main` must know of a service.
#[derive(Debug, Clone, Copy)]
pub struct Main {
    /// The name of the binary.
    pub name: &'static str,
    /// The OpenAPI document, for `openapi`.
    pub openapi: fn() -> OpenApi,
}

/// What `serve` starts from.
pub struct Start {
    /// The environment, from which the log settings have been read.
    pub env: Env,
    /// The metrics of the process.
    pub metrics: Metrics,
    /// Set off by SIGTERM and SIGINT.
    pub shutdown: Shutdown,
}

#[derive(Parser)]
struct Cli<Own: Subcommand> {
    #[command(subcommand)]
    command: Command<Own>,
}

#[derive(Subcommand)]
enum Command<Own: Subcommand> {
    /// Run the service until SIGTERM or SIGINT
    Serve,
    /// Bring the database and the topics to what this version needs, then end
    Migrate,
    /// Print the OpenAPI document
    Openapi,
    /// Ask a running service on ADMIN_ADDR whether it is alive
    Healthcheck,
    #[command(flatten)]
    Own(Own),
}

/// Does what the command line asks for. A failure is printed with all its causes, and the exit code is 1.
pub fn run_main<S, M>(main: Main, serve: S, migrate: M) -> ExitCode
where
    S: AsyncFnOnce(Start) -> anyhow::Result<()>,
    M: AsyncFnOnce(Env) -> anyhow::Result<()>,
{
    run_main_with(
        main,
        serve,
        migrate,
        async |own: Infallible, _| match own {},
    )
}

/// [`run_main`] of a service that has commands of its own. They start from the environment as `migrate` does and choose
/// their exit code.
pub fn run_main_with<S, M, Own, O>(main: Main, serve: S, migrate: M, own: O) -> ExitCode
where
    S: AsyncFnOnce(Start) -> anyhow::Result<()>,
    M: AsyncFnOnce(Env) -> anyhow::Result<()>,
    Own: Subcommand,
    O: AsyncFnOnce(Own, Env) -> anyhow::Result<ExitCode>,
{
    let matches = Cli::<Own>::command().name(main.name).get_matches();
    let cli = Cli::<Own>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match cli.command {
        Command::Serve => on_runtime(LogTo::Stdout, async |env, metrics| {
            let shutdown = Shutdown::on_signals()?;
            serve(Start {
                env,
                metrics,
                shutdown,
            })
            .await
        })
        .map(succeeded),
        Command::Migrate => {
            on_runtime(LogTo::Stdout, async |env, _| migrate(env).await).map(succeeded)
        }
        Command::Own(command) => on_runtime(LogTo::Stderr, async |env, _| own(command, env).await),
        Command::Openapi => print_openapi(&(main.openapi)()).map(succeeded),
        Command::Healthcheck => healthcheck().map(succeeded),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // Also when the log goes elsewhere or was never set up.
            eprintln!("{}: {error:#}", main.name);
            ExitCode::FAILURE
        }
    }
}

fn succeeded((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn on_runtime<T>(
    log_to: LogTo,
    work: impl AsyncFnOnce(Env, Metrics) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut env = Env::from_process();
        // A wrong log setting is noted in `env` and named together with all other problems.
        let log = LogConfig::from_env(&mut env).unwrap_or_default();
        let metrics = telemetry::init(&log, log_to)?;
        work(env, metrics).await
    })
}

fn print_openapi(openapi: &OpenApi) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(openapi)?)?;
    Ok(())
}

/// For a container's HEALTHCHECK, where there may be no curl.
fn healthcheck() -> anyhow::Result<()> {
    let admin_addr = Env::from_process().read(|env| env.required::<SocketAddr>("ADMIN_ADDR"))?;
    let status = get_status(reachable(admin_addr), "/healthz")?;
    anyhow::ensure!(status == 200, "/healthz answered {status}");
    Ok(())
}

/// An address that is listened on, as one that can be connected to.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

fn get_status(addr: SocketAddr, path: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&addr, HEALTHCHECK_TIMEOUT)?;
    stream.set_read_timeout(Some(HEALTHCHECK_TIMEOUT))?;
    // In one write: the server may answer, and close, after the first piece.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // "HTTP/1.1 200" is all that matters.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    std::str::from_utf8(&head)?
        .strip_prefix("HTTP/1.1 ")
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| anyhow::anyhow!("the answer is not HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::<Infallible>::command().debug_assert();
        for command in ["serve", "migrate", "openapi", "healthcheck"] {
            let parsed = Cli::<Infallible>::try_parse_from(["svc", command]);
            assert!(parsed.is_ok(), "{command}");
        }
        assert!(Cli::<Infallible>::try_parse_from(["svc"]).is_err());
        assert!(Cli::<Infallible>::try_parse_from(["svc", "audit"]).is_err());
    }

    #[test]
    fn a_service_adds_commands_of_its_own() {
        #[derive(Subcommand)]
        enum Own {
            /// Compare
            Audit {
                #[arg(long)]
                history: Option<String>,
            },
        }
        Cli::<Own>::command().debug_assert();
        let parsed = Cli::<Own>::try_parse_from(["svc", "audit", "--history", "file"]);
        let Ok(Command::Own(Own::Audit { history })) = parsed.map(|cli| cli.command) else {
            panic!("no audit");
        };
        assert_eq!(history.as_deref(), Some("file"));
        let shared = Cli::<Own>::try_parse_from(["svc", "serve"]).map(|cli| cli.command);
        assert!(matches!(shared, Ok(Command::Serve)));
    }

    #[test]
    fn an_address_for_all_interfaces_is_asked_at_home() {
        for (listened, asked) in [
            ("0.0.0.0:9101", "127.0.0.1:9101"),
            ("[::]:9101", "[::1]:9101"),
            ("10.0.0.7:9101", "10.0.0.7:9101"),
        ] {
            let listened: SocketAddr = listened.parse().unwrap();
            assert_eq!(reachable(listened).to_string(), asked);
        }
    }

    #[test]
    fn a_status_is_read_from_the_first_line() {
        for (answer, status) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(503)),
            ("SSH-2.0-OpenSSH_9.6\r\n", None),
            ("HTTP", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                _ = stream.read(&mut [0; 512]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(get_status(addr, "/healthz").ok(), status, "{answer}");
            server.join().unwrap();
        }
    }
}
