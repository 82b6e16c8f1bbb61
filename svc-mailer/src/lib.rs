//! The mailer: it tells people what became of their orders, and remembers what it told them.
//!
//! It is nobody's dependency: it reads topics, and while it is off the topics wait for it.

pub mod announce;
pub mod app;
pub mod config;
pub mod consume;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod jobs;
pub mod ready;
pub mod render;
mod routes;
pub mod smtp;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use platform::Start;
use platform::auth::{Verifier, refuse_erased_users};
use platform::avro::Registry;
use platform::config::Env;
use platform::cql::{self, Migration};
use platform::http::{admin, server};
use platform::ids::new_id;
use platform::kafka::consumer;
use platform::kafka::producer::Producer;
use platform::kafka::topics;
use platform::parts::{self, Parts};
use platform::shutdown::Shutdown;
use platform::telemetry::Metrics;
use platform::vault::Vault;
use schemas::topics::{
    CATALOG_EVENTS, CHECKOUT_GUESTS, CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, IDENTITY_MAIL,
    IDENTITY_NOTICES, IDENTITY_USERS, MAILER_NOTIFICATIONS, Topic,
};
use scylla::client::session::Session;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use routes::openapi;

use crate::announce::Announcer;
use crate::app::{App, AppState};
use crate::config::{Config, MigrateConfig};
use crate::consume::Records;
use crate::delivery::{Delivery, Pace};
use crate::domain::notification::Holder;
use crate::jobs::send_due_notifications;
use crate::ready::KafkaProbe;
use crate::render::Renderer;
use crate::smtp::Smtp;
use crate::store::announced::Announced;
use crate::store::due::DueNotifications;
use crate::store::event::Events;
use crate::store::notification::Notifications;
use crate::store::notification_list::NotificationLists;
use crate::store::recipient::Recipients;

const MIGRATIONS: [Migration; 3] = [
    Migration {
        name: "0001_notifications",
        text: include_str!("../migrations/0001_notifications.cql"),
    },
    Migration {
        name: "0002_addresses",
        text: include_str!("../migrations/0002_addresses.cql"),
    },
    Migration {
        name: "0003_announced",
        text: include_str!("../migrations/0003_announced.cql"),
    },
];
const OWN_TOPICS: [Topic; 1] = [MAILER_NOTIFICATIONS];
const READ_TOPICS: [Topic; 7] = [
    CHECKOUT_PAYMENTS,
    CHECKOUT_ORDERS,
    CHECKOUT_GUESTS,
    IDENTITY_USERS,
    IDENTITY_MAIL,
    IDENTITY_NOTICES,
    CATALOG_EVENTS,
];
/// How long messages in hand may take to come to an end when the service stops. One that is cut then counts as a crash:
/// its mail may come twice.
const IN_HAND_DEADLINE: Duration = Duration::from_secs(10);

/// Brings the database, the schemas and the topics to what this version needs.
pub async fn migrate(env: Env) -> anyhow::Result<()> {
    let config = env.read(MigrateConfig::from_env)?;
    cql::migrate(&config.cql, &MIGRATIONS).await?;
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    registry.require_compatibility().await?;
    announce::register(&registry).await?;
    topics::create(&config.kafka, &OWN_TOPICS).await?;
    topics::create_dead_letters(&config.kafka, &READ_TOPICS, consume::GROUP).await?;
    Ok(())
}

/// Reads the settings, listens, and runs until the stop.
pub async fn serve(start: Start) -> anyhow::Result<()> {
    let config = start.env.read(Config::from_env)?;
    let listeners = Listeners::bind(&config).await?;
    run(config, listeners, start.metrics, start.shutdown).await
}

/// The ports.
pub struct Listeners {
    /// The public interface.
    pub public: TcpListener,
    /// Health and metrics.
    pub admin: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = async |addr| {
            TcpListener::bind(addr)
                .await
                .with_context(|| format!("listen on {addr}"))
        };
        Ok(Self {
            public: bind(config.http.http_addr).await?,
            admin: bind(config.http.admin_addr).await?,
        })
    }
}

/// Runs the service until `shutdown`: not ready, accept no more, finish the requests, then consumers and jobs, then
/// the mails in hand, then what Kafka has not got yet.
pub async fn run(
    config: Config,
    listeners: Listeners,
    metrics: Metrics,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    topics::verify(&config.kafka, &OWN_TOPICS)?;
    topics::verify(&config.kafka, &READ_TOPICS)?;
    let session = cql::connect(&config.cql).await?;
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    let producer = Producer::new(&config.kafka.brokers, &config.instance)?;
    let app = Arc::new(app(&config, &session, &registry, producer.clone()).await?);

    let kafka = KafkaProbe::new(&config.kafka.brokers)?;
    let checks = admin::Checks::new()
        .with("cql", move || ready::cql(Arc::clone(&session)))
        .with("kafka", move || kafka.clone().check());
    tokio::spawn(admin::serve(
        listeners.admin,
        checks,
        metrics,
        shutdown.clone(),
    ));

    let background = CancellationToken::new();
    let mut work = Parts::default();
    let public_topics = consume::public_topics(config.mails_at_once);
    for spec in [public_topics, consume::personal_topics()] {
        let (kafka, registry, stop) = (config.kafka.clone(), registry.clone(), background.clone());
        let handler = Arc::new(Records::new(Arc::clone(&app)));
        work.try_spawn(spec.group.clone(), async move {
            consumer::run(&kafka, &registry, spec, handler, stop).await
        });
    }
    let erased = refuse_erased_users(
        config.kafka.clone(),
        IDENTITY_USERS.name,
        IDENTITY_USERS.partitions_by_key(),
        Arc::clone(&app.verifier),
        background.clone(),
    );
    work.spawn("erased users", erased);
    let (job_app, stop) = (Arc::clone(&app), background.clone());
    work.spawn("send due notifications", async move {
        send_due_notifications::run(&job_app, stop).await;
    });

    let router = routes::router(AppState(Arc::clone(&app)));
    let serving = server::serve(
        listeners.public,
        router,
        server::Limits::default(),
        shutdown.clone(),
    );
    let outcome = parts::serve(serving, &mut work, &shutdown).await;
    background.cancel();
    work.ended().await;
    app.delivery.in_hand.close();
    if tokio::time::timeout(IN_HAND_DEADLINE, app.delivery.in_hand.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            left = app.delivery.in_hand.len(),
            "mails were cut while they were sent"
        );
    }
    tokio::task::spawn_blocking(move || producer.flush()).await??;
    outcome
}

async fn app(
    config: &Config,
    session: &Arc<Session>,
    registry: &Registry,
    producer: Producer,
) -> anyhow::Result<App> {
    let announcer = Announcer::new(producer, registry, config.kafka.event_partitions).await?;
    let delivery = Delivery {
        holder: Holder {
            instance: config.instance.clone(),
            boot: new_id(),
        },
        notifications: Notifications::new(Arc::clone(session)).await?,
        lists: NotificationLists::new(Arc::clone(session)).await?,
        announced: Announced::new(Arc::clone(session)).await?,
        recipients: Recipients::new(Arc::clone(session)).await?,
        events: Events::new(Arc::clone(session)).await?,
        vault: Vault::new(&config.key_encryption_key)?,
        renderer: Renderer::new(config.public_url.clone())?,
        smtp: Smtp::new(&config.smtp),
        announcer,
        pace: Pace::new(config.mails_at_once),
        in_hand: TaskTracker::new(),
    };
    Ok(App {
        verifier: Verifier::new(&config.auth)?,
        delivery: Arc::new(delivery),
        due: DueNotifications::new(Arc::clone(session)).await?,
    })
}
