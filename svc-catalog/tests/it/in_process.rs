//! The catalog inside the test, on the stack's servers: so a change can be cut off wherever it waits, as a crash would, or held
//! there, as a stall would.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use anyhow::Context as _;
use e2e::Stack;
use platform::avro::Registry;
use platform::config::Env;
use platform::kafka::producer::Producer;
use platform::shutdown::Shutdown;
use svc_catalog::app::App;
use svc_catalog::config::Config;

use crate::link::Link;

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

/// The catalog, without its jobs and its consumers: those of the stack's svc-catalog work.
pub(crate) struct InProcess {
    /// What handlers use.
    pub(crate) app: App,
    /// Its settings.
    pub(crate) config: Config,
    /// The stack's.
    pub(crate) registry: Registry,
}

impl InProcess {
    /// On the stack's servers.
    pub(crate) async fn new(stack: &Stack) -> anyhow::Result<Self> {
        Self::build(stack, config(stack)?, &stack.kafka_brokers).await
    }

    /// Whose records get nowhere.
    pub(crate) async fn without_broker(stack: &Stack) -> anyhow::Result<Self> {
        Self::build(stack, config(stack)?, NOBODY).await
    }

    /// Who cannot ask what is sold.
    pub(crate) async fn without_checkout(stack: &Stack) -> anyhow::Result<Self> {
        let mut config = config(stack)?;
        config.checkout.url = format!("http://{NOBODY}").parse()?;
        Self::build(stack, config, &stack.kafka_brokers).await
    }

    /// Whose way to the database is this one.
    pub(crate) async fn through(stack: &Stack, link: &Link) -> anyhow::Result<Self> {
        let mut config = config(stack)?;
        config.cql.nodes = vec![link.address.clone()];
        Self::build(stack, config, &stack.kafka_brokers).await
    }

    async fn build(stack: &Stack, config: Config, broker: &str) -> anyhow::Result<Self> {
        let registry = Registry::new(&stack.schema_registry_url)?;
        let producer = Producer::new(broker, &config.instance_name)?;
        let app = svc_catalog::app(&config, &registry, producer, &Shutdown::new()).await?;
        Ok(Self {
            app,
            config,
            registry,
        })
    }
}

fn config(stack: &Stack) -> anyhow::Result<Config> {
    let secret = std::env::var("SVC_CATALOG_SECRET").context("SVC_CATALOG_SECRET")?;
    let own = [
        ("INSTANCE_NAME", "svc-catalog-it".to_owned()),
        ("HTTP_ADDR", NOBODY.to_owned()),
        ("ADMIN_ADDR", NOBODY.to_owned()),
        // As `infra/local/stack` names it.
        ("CQL_KEYSPACE", "catalog".to_owned()),
        (
            "SERVICE_TOKEN_URL",
            format!("{}/v1/service-tokens", stack.identity().base()),
        ),
        ("SERVICE_SECRET", secret),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let env = Env::from_map(std::env::vars().chain(own));
    Ok(env.read(Config::from_env)?)
}

/// Lets `work` go on until it has waited so many times; `None`: it is not at its end.
pub(crate) async fn up_to<T>(
    waits: usize,
    work: &mut Pin<Box<dyn Future<Output = T> + '_>>,
) -> Option<T> {
    let mut left = waits;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
