//! Logs and metrics for Prometheus.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogConfig, LogFormat};

/// Upper bounds of every histogram whose name ends in `_seconds`: from an answer out of memory to the longest request.
const SECONDS_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// How often recorded samples are folded into buckets: without it they pile up until somebody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` cannot be read.
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// There is a subscriber already.
    #[error("the log was set up before")]
    Log(#[from] TryInitError),
    /// There is a recorder already.
    #[error("the metrics recorder cannot be installed")]
    Metrics(#[from] BuildError),
}

/// The metrics of this process, to be rendered at `/metrics`.
#[derive(Clone)]
pub struct Metrics {
    handle: Arc<PrometheusHandle>,
    sources: Arc<Mutex<Vec<Source>>>,
}

type Source = Box<dyn Fn() + Send>;

impl Metrics {
    /// Metrics that nothing records to, for tests that need some.
    pub fn detached() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        Self::of(Arc::new(recorder.handle()))
    }

    fn of(handle: Arc<PrometheusHandle>) -> Self {
        Self {
            handle,
            sources: Arc::default(),
        }
    }

    /// `record` tells the recorder what somebody else counts, each time that somebody looks.
    pub fn before_each_look(&self, record: impl Fn() + Send + 'static) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.push(Box::new(record));
    }

    /// All metrics in the text format of Prometheus.
    pub fn render(&self) -> String {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        for record in &*sources {
            record();
        }
        self.handle.render()
    }
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTo {
    /// Standard output: a service says nothing else.
    Stdout,
    /// Standard error: standard output is for what a command was asked for.
    Stderr,
}

/// Sets up the log and the metrics of the process. Once, and within a Tokio runtime.
pub fn init(config: &LogConfig, to: LogTo) -> Result<Metrics, TelemetryError> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    let (writer, is_terminal) = match to {
        LogTo::Stdout => (BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()),
        LogTo::Stderr => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
    };
    // Colors are for eyes; in a file they are noise.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(is_terminal);
    match config.format {
        LogFormat::Text => registry.with(lines).try_init()?,
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_span_list(false))
            .try_init()?,
    }
    let handle = Arc::new(builder()?.install_recorder()?);
    let upkeep = Arc::clone(&handle);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(Metrics::of(handle))
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_counts_is_asked_for_at_each_look() {
        let recorder = builder().unwrap().build_recorder();
        let metrics = Metrics::of(Arc::new(recorder.handle()));
        let looks = std::sync::atomic::AtomicU64::new(40);
        metrics.before_each_look(move || {
            let now = looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            metrics::counter!("looks_total").absolute(now);
        });
        metrics::with_local_recorder(&recorder, || {
            for expected in ["looks_total 41", "looks_total 42"] {
                let text = metrics.render();
                assert!(text.contains(expected), "{text}");
            }
        });
    }

    #[test]
    fn seconds_become_buckets() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("wait_seconds").record(0.003);
            metrics::counter!("orders_total", "outcome" => "sold").increment(2);
        });
        let text = handle.render();
        assert!(
            text.contains("wait_seconds_bucket{le=\"0.005\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("wait_seconds_bucket{le=\"0.0025\"} 0"),
            "{text}"
        );
        assert!(text.contains("orders_total{outcome=\"sold\"} 2"), "{text}");
    }
}
