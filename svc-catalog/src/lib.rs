//! Events and what they sell: the catalog.

pub mod app;
pub mod change;
pub mod change_voucher;
pub mod checkout;
pub mod config;
pub mod consume;
pub mod domain;
pub mod http;
pub mod jobs;
pub mod live_events;
pub mod live_stock;
pub mod live_vouchers;
pub mod publish;
pub mod publish_voucher;
pub mod routes;
pub mod store;

use std::sync::Arc;

use anyhow::Context as _;
use platform::auth::{Verifier, refuse_erased_users};
use platform::avro::Registry;
use platform::config::{Env, KafkaConfig};
use platform::cql::{self, Migration};
use platform::http::admin::{self, Checks};
use platform::http::server::{self, Limits};
use platform::intent::{self, Intents};
use platform::kafka::producer::Producer;
use platform::kafka::topics;
use platform::parts::{self, Parts};
use platform::shutdown::Shutdown;
use platform::telemetry::Metrics;
use schemas::catalog::VoucherTerms;
use schemas::topics::{CATALOG_EVENTS, CATALOG_INVENTORY, CHECKOUT_STOCK, IDENTITY_USERS, Topic};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::checkout::Checkout;
use crate::config::{Config, Stores};
use crate::http::availability::stream::MAX_STREAMS;
use crate::live_events::LiveEvents;
use crate::publish::{Encoders, EventPublication};
use crate::publish_voucher::VoucherPublication;
use crate::store::event::Events;
use crate::store::events_by_organizer::EventsByOrganizer;
use crate::store::voucher::Vouchers;

/// The topics that this service writes.
const TOPICS: [Topic; 2] = [CATALOG_EVENTS, CATALOG_INVENTORY];

const MIGRATIONS: [Migration; 8] = [
    Migration {
        name: "0000_intents",
        text: intent::TABLE,
    },
    Migration {
        name: "0001_events",
        text: include_str!("../migrations/0001_events.cql"),
    },
    Migration {
        name: "0002_short_tombstones",
        text: include_str!("../migrations/0002_short_tombstones.cql"),
    },
    Migration {
        name: "0003_past_starts",
        text: include_str!("../migrations/0003_past_starts.cql"),
    },
    Migration {
        name: "0004_vouchers",
        text: include_str!("../migrations/0004_vouchers.cql"),
    },
    Migration {
        name: "0005_no_tables_of_the_list",
        text: include_str!("../migrations/0005_no_tables_of_the_list.cql"),
    },
    Migration {
        name: "0006_attendance_releases_seat",
        text: include_str!("../migrations/0006_attendance_releases_seat.cql"),
    },
    Migration {
        name: "0007_events_by_organizer",
        text: include_str!("../migrations/0007_events_by_organizer.cql"),
    },
];

/// Brings the keyspace, the schemas and the topics to what this version needs.
pub async fn migrate(env: Env) -> anyhow::Result<()> {
    let Stores { kafka, cql } = env.read(Stores::from_env)?;
    cql::migrate(&cql, &MIGRATIONS).await?;
    let by_organizer = EventsByOrganizer::new(cql::connect(&cql).await?).await?;
    let added = by_organizer.add_missing().await?;
    tracing::info!(added, "every event is in its organizer's list");
    let registry = registry(&kafka)?;
    registry.require_compatibility().await?;
    Encoders::register(&registry).await?;
    registry.register::<VoucherTerms>().await?;
    topics::create(&kafka, &TOPICS).await?;
    Ok(())
}

/// Serves on `listener` until the stop is asked for, then ends in this order: not ready, no new requests, no jobs,
/// nothing left in the producer.
pub async fn run(
    config: Config,
    listener: TcpListener,
    metrics: Metrics,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    topics::verify(
        &config.kafka,
        &[CATALOG_EVENTS, CATALOG_INVENTORY, CHECKOUT_STOCK],
    )?;
    let registry = registry(&config.kafka)?;
    let producer = Producer::new(&config.kafka.brokers, &config.instance_name)?;
    let app = app(&config, &registry, producer.clone(), &shutdown).await?;

    let admin_addr = config.http.admin_addr;
    let admin_listener = TcpListener::bind(admin_addr)
        .await
        .with_context(|| format!("listen on {admin_addr}"))?;
    tokio::spawn(admin::serve(
        admin_listener,
        checks(&app),
        metrics,
        shutdown.clone(),
    ));

    let stop = CancellationToken::new();
    // However this ends: a thread of its own is not aborted with its task, and the process would wait for it.
    let _stop = stop.clone().drop_guard();
    let mut background = background(&app, config.kafka.clone(), registry, &stop);

    let router = routes::router(app);
    let serving = server::serve(listener, router, Limits::default(), shutdown.clone());
    let served = parts::serve(serving, &mut background, &shutdown).await;
    stop.cancel();
    background.ended().await;
    tokio::task::spawn_blocking(move || producer.flush()).await??;
    served
}

fn registry(kafka: &KafkaConfig) -> anyhow::Result<Registry> {
    Ok(Registry::new(kafka.schema_registry_url.as_str())?)
}

/// What handlers, consumers and jobs share. Nothing runs yet.
pub async fn app(
    config: &Config,
    registry: &Registry,
    producer: Producer,
    shutdown: &Shutdown,
) -> anyhow::Result<App> {
    let session = cql::connect(&config.cql).await?;
    let events = Arc::new(Events::new(Arc::clone(&session)).await?);
    let by_organizer = Arc::new(EventsByOrganizer::new(Arc::clone(&session)).await?);
    let vouchers = Arc::new(Vouchers::new(Arc::clone(&session)).await?);
    let voucher_intents = Intents::in_table(Arc::clone(&session), "voucher_intents").await?;
    let voucher_publication = VoucherPublication {
        vouchers: Arc::clone(&vouchers),
        events: Arc::clone(&events),
        encoder: registry.register().await?,
        producer: producer.clone(),
        event_partitions: config.kafka.event_partitions,
    };
    let live: Arc<LiveEvents> = Arc::default();
    let publication = EventPublication {
        events: Arc::clone(&events),
        live: Arc::clone(&live),
        encoders: Encoders::register(registry).await?,
        producer,
        event_partitions: config.kafka.event_partitions,
    };
    Ok(App {
        verifier: Verifier::new(&config.auth)?,
        events,
        by_organizer,
        live,
        intents: Arc::new(Intents::new(session).await?),
        publication: Arc::new(publication),
        vouchers,
        voucher_intents: Arc::new(voucher_intents),
        voucher_publication: Arc::new(voucher_publication),
        live_vouchers: Arc::default(),
        stock: Arc::default(),
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        stopping: shutdown.token(),
        checkout: Arc::new(Checkout::new(&config.checkout)?),
    })
}

/// The database, the events: without them the list would have gaps, and the stock: without it sold tickets would look
/// available. Not Kafka: while it is away, what is there can still be read.
fn checks(app: &App) -> Checks {
    let (events, live, stock) = (
        Arc::clone(&app.events),
        Arc::clone(&app.live),
        Arc::clone(&app.stock),
    );
    Checks::new()
        .with("cql", move || {
            let events = Arc::clone(&events);
            async move { events.find(Uuid::nil()).await.map(drop) }
        })
        .with("events", move || {
            let complete = live.check();
            async move { complete }
        })
        .with("stock", move || {
            let caught_up = stock.check();
            async move { caught_up }
        })
}

fn background(
    app: &App,
    kafka: KafkaConfig,
    registry: Registry,
    stop: &CancellationToken,
) -> Parts {
    let mut tasks = Parts::default();
    let (intents, publication) = (Arc::clone(&app.intents), Arc::clone(&app.publication));
    let stop_jobs = stop.clone();
    tasks.spawn("publish owed events", async move {
        jobs::publish_owed::run(&intents, &*publication, stop_jobs).await;
    });

    let intents = Arc::clone(&app.voucher_intents);
    let publication = Arc::clone(&app.voucher_publication);
    let stop_jobs = stop.clone();
    tasks.spawn("publish owed vouchers", async move {
        jobs::publish_owed::run(&intents, &*publication, stop_jobs).await;
    });

    let (telling, stop_jobs) = (app.clone(), stop.clone());
    tasks.spawn("publish untold", async move {
        let App {
            live,
            intents,
            publication,
            ..
        } = telling;
        jobs::publish_untold::run(&live, &intents, &publication, stop_jobs).await;
    });

    let (reconciling, stop_jobs) = (app.clone(), stop.clone());
    let (from, names) = (kafka.clone(), registry.clone());
    tasks.spawn("reconcile topics", async move {
        jobs::reconcile_topics::run(&reconciling, &from, &names, stop_jobs).await;
    });

    let erased = refuse_erased_users(
        kafka.clone(),
        IDENTITY_USERS.name,
        IDENTITY_USERS.partitions_by_key(),
        Arc::clone(&app.verifier),
        stop.clone(),
    );
    tasks.spawn("erased users", erased);

    let live = Arc::clone(&app.live);
    let (from, names, stop_reading) = (kafka.clone(), registry.clone(), stop.clone());
    tasks.try_spawn(CATALOG_EVENTS.name, async move {
        consume::catalog_events::run(&from, &names, &live, stop_reading).await
    });

    // On a thread of its own: what is heard of sales must not wait behind thousands of streams that shall tell it.
    let (stock, vouchers) = (Arc::clone(&app.stock), Arc::clone(&app.live_vouchers));
    let stop_reading = stop.clone();
    tasks.try_spawn_blocking(CHECKOUT_STOCK.name, move || {
        let read = consume::checkout_stock::run(&kafka, &registry, &stock, &vouchers, stop_reading);
        Handle::current().block_on(read)
    });
    tasks
}
