//! Orders, payments and tickets. The heart is [`box_office`]; [`domain`] has its rules.

pub mod app;
pub mod attendee_topic;
pub mod audit;
pub mod box_office;
pub mod config;
pub mod consume;
pub mod domain;
pub mod guest_topic;
pub mod http;
pub mod jobs;
pub mod payment;
pub mod planted;
pub mod rebuild;
pub mod routes;
pub mod store;
pub mod ticket_code;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow};
use platform::auth::{Verifier, refuse_erased_users};
use platform::avro::Registry;
use platform::cql;
use platform::http::admin;
use platform::http::server::{self, Limits};
use platform::intent::Intents;
use platform::kafka::consumer::{self, ConsumerSpec};
use platform::kafka::producer::Producer;
use platform::kafka::topics;
use platform::limit::Buckets;
use platform::parts::{self, Parts};
use platform::shutdown::Shutdown;
use platform::telemetry::Metrics;
use schemas::checkout::{AttendeeSnapshot, CommandReply, GuestSnapshot};
use schemas::topics::{
    CATALOG_EVENTS, CATALOG_INVENTORY, CHECKOUT_ATTENDEES, CHECKOUT_COMMANDS, CHECKOUT_DRAIN,
    CHECKOUT_GUESTS, CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, CHECKOUT_REPLIES, CHECKOUT_STATE,
    CHECKOUT_STOCK, IDENTITY_USERS, Topic,
};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use app::App;
use attendee_topic::AttendeeTopic;
use box_office::changelog::Changelog;
use box_office::client::BoxOffice;
use box_office::commands::CommandEncoders;
use box_office::engine::Engine;
use box_office::inventory::InventoryTable;
use box_office::memory::Memory;
use box_office::projector::{self, BACKLOG, Projection, RESERVE};
use box_office::replies::Replies;
use box_office::sold_out::SoldOut;
use box_office::takeover::ReaderPool;
use box_office::vouchers::VoucherTable;
use box_office::waiters::Waiters;
use box_office::worklist::Worklist;
use box_office::{Shared, kafka};
use config::{Config, PaymentConfig, StoresConfig};
use consume::{spawn_consumer, spawn_table};
use guest_topic::GuestTopic;
use payment::stripe::client::Client;
use payment::stripe::signature::Signatures;
use payment::stripe::webhook::Webhooks;
use payment::{Cashier, Provider, Simulated, Stripe};
use store::attendees::AttendeeStore;
use store::erased_users::ErasedUserStore;
use store::events::EventStore;
use store::guests::GuestStore;
use store::orders::OrderStore;
use store::simulated_charges::ChargeStore;
use store::stripe_payments::StripePaymentStore;
use ticket_code::TicketSigner;

/// Topics that this service owns.
const OWN_TOPICS: &[Topic] = &[
    CHECKOUT_COMMANDS,
    CHECKOUT_ORDERS,
    CHECKOUT_PAYMENTS,
    CHECKOUT_STOCK,
    CHECKOUT_STATE,
    CHECKOUT_DRAIN,
    CHECKOUT_REPLIES,
    CHECKOUT_GUESTS,
    CHECKOUT_ATTENDEES,
];

/// Creates tables and topics and registers the records.
pub async fn migrate(config: &StoresConfig) -> anyhow::Result<()> {
    cql::migrate(&config.cql, store::MIGRATIONS).await?;
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    registry.require_compatibility().await?;
    CommandEncoders::register(&registry).await?;
    Changelog::register(&registry).await?;
    registry.register::<CommandReply>().await?;
    registry.register::<GuestSnapshot>().await?;
    registry.register::<AttendeeSnapshot>().await?;
    topics::create(&config.kafka, OWN_TOPICS).await?;
    topics::create_dead_letters(&config.kafka, &[CHECKOUT_COMMANDS], box_office::GROUP).await?;
    topics::create_dead_letters(
        &config.kafka,
        &[CATALOG_EVENTS],
        consume::catalog_events::GROUP,
    )
    .await?;
    topics::create_dead_letters(
        &config.kafka,
        &[IDENTITY_USERS],
        consume::identity_users::GROUP,
    )
    .await?;
    Ok(())
}

/// Binds the configured ports and runs.
pub async fn serve(config: Config, metrics: Metrics, shutdown: Shutdown) -> anyhow::Result<()> {
    let bind = async |addr| {
        TcpListener::bind(addr)
            .await
            .with_context(|| format!("listen on {addr}"))
    };
    let listener = bind(config.http.http_addr).await?;
    let admin = bind(config.http.admin_addr).await?;
    run(config, listener, admin, metrics, shutdown).await
}

/// The only wiring. Ends after `shutdown`: requests first, then the engine with its hand-over,
/// then the projector.
pub async fn run(
    config: Config,
    listener: TcpListener,
    admin_listener: TcpListener,
    metrics: Metrics,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    topics::verify(&config.kafka, OWN_TOPICS)?;
    topics::verify(
        &config.kafka,
        &[CATALOG_EVENTS, CATALOG_INVENTORY, IDENTITY_USERS],
    )?;
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    let ticket_signer = Arc::new(TicketSigner::new(&config.ticket_signing_key)?);
    let session = cql::connect(&config.cql).await?;
    let orders = Arc::new(OrderStore::new(Arc::clone(&session)).await?);
    let events = Arc::new(EventStore::new(Arc::clone(&session)).await?);
    let projection = Arc::new(Projection::new(Arc::clone(&orders)));

    let (newer_inventory, inventory_for_engine) = std::sync::mpsc::channel();
    let shared = Shared {
        waiters: Arc::new(Waiters::default()),
        worklist: Arc::new(Worklist::default()),
        memory: Arc::new(Memory::new(config.engine.remember_for)),
        inventory: Arc::new(InventoryTable::new(newer_inventory)),
        registry: registry.clone(),
    };
    let box_office = Arc::new(BoxOffice::new(
        &config.kafka.brokers,
        &config.engine.instance_name,
        config.kafka.event_partitions,
        CommandEncoders::register(&registry).await?,
        registry.register().await?,
        Arc::clone(&shared.waiters),
    )?);
    let (provider, stripe_webhooks) = payment_provider(&config.payment, &session).await?;
    let cashier = Arc::new(Cashier::new(
        provider,
        Arc::clone(&box_office),
        Arc::clone(&orders),
    ));

    let replies = Replies::open(
        &config.engine,
        registry.clone(),
        Arc::clone(&shared.waiters),
        Arc::clone(&orders),
    )?;

    // The engine and what follows it stop after the last request; the rest at once.
    let stop_engine = CancellationToken::new();
    let background = shutdown.token().clone();
    let joined = Arc::new(AtomicBool::new(false));
    let mut tasks = Parts::default();
    let table = Arc::clone(&shared.inventory);
    let vouchers = Arc::new(VoucherTable::new(Arc::clone(shared.inventory.caught_up())));
    let voucher_table = Arc::clone(&vouchers);
    spawn_table(
        &mut tasks,
        &config,
        &registry,
        CATALOG_INVENTORY.name,
        move |record| consume::catalog_inventory::take(&table, &voucher_table, record),
        Arc::clone(shared.inventory.caught_up()),
        stop_engine.clone(),
    );
    let sold_out = Arc::new(SoldOut::default());
    let table = Arc::clone(&sold_out);
    spawn_table(
        &mut tasks,
        &config,
        &registry,
        CHECKOUT_STOCK.name,
        move |record| consume::checkout_stock::take(&table, record),
        // Nobody waits for it: until it is read the box office refuses, as it does anyway.
        Arc::default(),
        background.clone(),
    );
    let verifier = Verifier::new(&config.auth)?;
    let erased = refuse_erased_users(
        config.kafka.clone(),
        IDENTITY_USERS.name,
        IDENTITY_USERS.partitions_by_key(),
        Arc::clone(&verifier),
        background.clone(),
    );
    tasks.spawn("erased users", erased);
    tasks.spawn("replies", replies.follow(stop_engine.clone()));
    let job = jobs::settle_payments::run(
        Arc::clone(&shared.worklist),
        Arc::clone(&cashier),
        background.clone(),
    );
    tasks.spawn("settle payments", job);
    let job = jobs::make_refunds::run(
        Arc::clone(&shared.worklist),
        Arc::clone(&cashier),
        background.clone(),
    );
    tasks.spawn("make refunds", job);
    let refunds_of_events = jobs::refund_cancelled_events::RefundCancelledEvents {
        worklist: Arc::clone(&shared.worklist),
        orders: Arc::clone(&orders),
        box_office: Arc::clone(&box_office),
    };
    let job = refunds_of_events.run(background.clone());
    tasks.spawn("refund cancelled events", job);
    let of_catalog = consume::catalog_events::CatalogEvents {
        events: Arc::clone(&events),
    };
    spawn_consumer(
        &mut tasks,
        &config,
        &registry,
        ConsumerSpec {
            group: consume::catalog_events::GROUP.into(),
            topics: vec![CATALOG_EVENTS.name],
            personal: false,
            at_once: 1,
            out_at_most: consumer::OUT_AT_MOST,
        },
        of_catalog,
        background.clone(),
    );

    let producer = Producer::new(&config.kafka.brokers, &config.engine.instance_name)?;
    let guests = Arc::new(GuestTopic {
        producer: producer.clone(),
        encoder: registry.register().await?,
        event_partitions: config.kafka.event_partitions,
        guests: GuestStore::new(Arc::clone(&session)).await?,
        orders: Arc::clone(&orders),
        intents: Intents::new(Arc::clone(&session)).await?,
    });
    let job = jobs::publish_guests::run(Arc::clone(&guests), shutdown.token());
    tasks.spawn("publish guests", job);
    let attendees = Arc::new(AttendeeTopic {
        producer: producer.clone(),
        encoder: registry.register().await?,
        event_partitions: config.kafka.event_partitions,
        attendees: AttendeeStore::new(Arc::clone(&session)).await?,
        orders: Arc::clone(&orders),
        erased_users: ErasedUserStore::new(Arc::clone(&session)).await?,
        intents: Intents::in_table(Arc::clone(&session), "attendee_intents").await?,
    });
    let job = jobs::publish_attendees::run(Arc::clone(&attendees), shutdown.token());
    tasks.spawn("publish attendees", job);
    let of_identity = consume::identity_users::IdentityUsers {
        attendees: Arc::clone(&attendees),
    };
    spawn_consumer(
        &mut tasks,
        &config,
        &registry,
        ConsumerSpec {
            group: consume::identity_users::GROUP.into(),
            topics: vec![IDENTITY_USERS.name],
            personal: true,
            at_once: 1,
            out_at_most: consumer::OUT_AT_MOST,
        },
        of_identity,
        background,
    );

    let (committed, batches) = mpsc::channel(BACKLOG + RESERVE);
    let projecting = projector::run(
        batches,
        Arc::clone(&projection),
        Arc::clone(&box_office),
        kafka::reader(&config.engine, "read_committed")?,
    );
    let alive = tasks.watch("projector");
    let projector = tokio::spawn(async move {
        let _alive = alive;
        projecting.await;
    });
    let job = jobs::keep_projection_offsets::run(
        kafka::reader(&config.engine, "read_committed")?,
        config.kafka.event_partitions,
        shutdown.token(),
    );
    tasks.try_spawn("keep projection offsets", job);
    let engine = Engine {
        config: config.engine.clone(),
        changelog: Changelog::register(&registry).await?,
        shared: shared.clone(),
        projection,
        readers: Arc::new(ReaderPool::new(config.engine.clone())),
        committed,
        inventory: inventory_for_engine,
        joined: Arc::clone(&joined),
        stop: stop_engine.clone(),
        runtime: Handle::current(),
    };
    let engine = engine.spawn(tasks.watch("box office"))?;

    let inventory = Arc::clone(&shared.inventory);
    let checks = admin::Checks::new()
        .with("cql", move || ping(Arc::clone(&session)))
        .with("box-office", move || {
            let joined = joined.load(Ordering::SeqCst);
            async move {
                anyhow::ensure!(joined, "no share of the partitions yet");
                Ok::<(), anyhow::Error>(())
            }
        })
        .with("catalog.inventory", move || {
            let caught_up = inventory.is_complete();
            async move {
                anyhow::ensure!(caught_up, "not read to its end yet");
                Ok::<(), anyhow::Error>(())
            }
        });
    tokio::spawn(admin::serve(
        admin_listener,
        checks,
        metrics,
        shutdown.clone(),
    ));

    let app = App {
        verifier,
        box_office: Arc::clone(&box_office),
        memory: Arc::clone(&shared.memory),
        sold_out,
        inventory: Arc::clone(&shared.inventory),
        vouchers,
        voucher_guesses: Arc::new(Buckets::new("voucher-guesses", config.voucher_guesses)),
        orders,
        events,
        attendees,
        guests,
        cashier,
        stripe_webhooks,
        ticket_signer,
    };
    let router = routes::router(app);
    let serving = server::serve(listener, router, Limits::default(), shutdown.clone());
    let served = parts::serve(serving, &mut tasks, &shutdown).await;

    // Each step, whatever became of those before: what was committed gets its rows, and who waits for it the answer.
    stop_engine.cancel();
    let joined = spawn_blocking(move || engine.join().map_err(|_| anyhow!("the engine panicked")));
    let joined = joined.await.map_err(Into::into).flatten();
    let projected = projector.await.map_err(Into::into);
    tasks.abort_all();
    tasks.ended().await;
    let answered = spawn_blocking(move || box_office.flush()).await;
    let published = spawn_blocking(move || producer.flush()).await;
    let published = published.map_err(Into::into).and_then(|it| Ok(it?));
    first_error([
        served,
        joined,
        projected,
        answered.map_err(Into::into),
        published,
    ])
}

/// The first error; the others are said here.
fn first_error<const N: usize>(ends: [anyhow::Result<()>; N]) -> anyhow::Result<()> {
    let mut errors = ends.into_iter().filter_map(Result::err);
    let first = errors.next();
    for error in errors {
        tracing::error!(error = format!("{error:#}"), "stopping");
    }
    first.map_or(Ok(()), Err)
}

/// Who takes the money, and how it tells of it by itself.
async fn payment_provider(
    config: &PaymentConfig,
    session: &Arc<scylla::client::session::Session>,
) -> anyhow::Result<(Arc<dyn Provider>, Option<Arc<Webhooks>>)> {
    let stripe = match config {
        PaymentConfig::Simulated(trouble) => {
            let charges = ChargeStore::new(Arc::clone(session)).await?;
            return Ok((Arc::new(Simulated::new(charges, *trouble)), None));
        }
        PaymentConfig::Stripe(stripe) => stripe,
    };
    let client = Client::new(stripe.api_url.clone(), stripe.secret_key.clone())?;
    let notes = StripePaymentStore::new(Arc::clone(session)).await?;
    let provider = Arc::new(Stripe::new(client, notes));
    let signatures = Signatures::new(&stripe.webhook_secrets);
    let webhooks = Webhooks::new(signatures, Arc::clone(&provider));
    Ok((provider, Some(Arc::new(webhooks))))
}

async fn ping(session: Arc<scylla::client::session::Session>) -> anyhow::Result<()> {
    session
        .query_unpaged("SELECT key FROM system.local", ())
        .await?;
    Ok(())
}
