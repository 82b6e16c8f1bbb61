//! Users, their roles and their sessions; the support desk.
//!
//! This file is the only wiring: what is built from what, and in which order it stops.

pub mod abandoned_claims;
pub mod accounts;
pub mod address_moves;
pub mod app;
pub mod catalog;
pub mod checkout;
pub mod config;
pub mod crash_point;
pub mod desk;
pub mod domain;
pub mod export;
pub mod first_admin;
pub mod http;
pub mod jobs;
pub mod limits;
pub mod mail_requests;
pub mod mailer;
pub mod neighbour;
pub mod notice_topic;
pub mod password;
mod routes;
pub mod service_secrets;
pub mod signing_keys;
pub mod store;
pub mod tokens;
pub mod trail;
pub mod user_topic;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use platform::Start;
use platform::auth::Verifier;
use platform::avro::Registry;
use platform::clock::Timestamp;
use platform::config::Env;
use platform::cql::{self, Migration};
use platform::http::admin::{self, Checks};
use platform::http::server;
use platform::intent::Intents;
use platform::kafka::producer::Producer;
use platform::kafka::topics;
use platform::parts::{self, Parts};
use platform::shutdown::Shutdown;
use platform::telemetry::Metrics;
use platform::vault::Vault;
use schemas::identity::{SecurityNotice, UserSnapshot};
use schemas::topics::{IDENTITY_MAIL, IDENTITY_NOTICES, IDENTITY_USERS, Topic};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use routes::openapi;

use crate::abandoned_claims::AbandonedClaims;
use crate::accounts::Accounts;
use crate::address_moves::AddressMoves;
use crate::app::App;
use crate::catalog::Catalog;
use crate::checkout::Checkout;
use crate::config::{Config, MigrateConfig, RotateConfig};
use crate::desk::Desk;
use crate::domain::audit::{Action, Deed, Outcome};
use crate::http::to_the_end::AtWork;
use crate::limits::Limits;
use crate::mail_requests::{MailEncoders, MailRequests};
use crate::mailer::Mailer;
use crate::neighbour::Neighbour;
use crate::notice_topic::NoticeTopic;
use crate::password::Passwords;
use crate::signing_keys::Refused;
use crate::store::case_places::CasePlaces;
use crate::store::cases::Cases;
use crate::store::email_claims::EmailClaims;
use crate::store::recent_sign_ins::RecentSignIns;
use crate::store::sessions::Sessions;
use crate::store::signing_keys::SigningKeys;
use crate::store::users::Users;
use crate::tokens::Tokens;
use crate::trail::Trail;
use crate::user_topic::UserTopic;

const TOPICS: &[Topic] = &[IDENTITY_USERS, IDENTITY_MAIL, IDENTITY_NOTICES];
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_identity",
        text: include_str!("../migrations/0001_identity.cql"),
    },
    Migration {
        name: "0002_epochs",
        text: include_str!("../migrations/0002_epochs.cql"),
    },
    Migration {
        name: "0003_erasure",
        text: include_str!("../migrations/0003_erasure.cql"),
    },
    Migration {
        name: "0004_mail_links",
        text: include_str!("../migrations/0004_mail_links.cql"),
    },
    Migration {
        name: "0005_audit",
        text: include_str!("../migrations/0005_audit.cql"),
    },
    Migration {
        name: "0006_short_tombstones",
        text: include_str!("../migrations/0006_short_tombstones.cql"),
    },
    Migration {
        name: "0007_audit_outcomes",
        text: include_str!("../migrations/0007_audit_outcomes.cql"),
    },
    Migration {
        name: "0008_recent_sign_ins",
        text: include_str!("../migrations/0008_recent_sign_ins.cql"),
    },
    Migration {
        name: "0009_support_cases",
        text: include_str!("../migrations/0009_support_cases.cql"),
    },
    Migration {
        name: "0010_what_is_held",
        text: include_str!("../migrations/0010_what_is_held.cql"),
    },
    Migration {
        name: "0011_notices",
        text: include_str!("../migrations/0011_notices.cql"),
    },
    Migration {
        name: "0012_address_changes",
        text: include_str!("../migrations/0012_address_changes.cql"),
    },
    Migration {
        name: "0013_proved_wishes",
        text: include_str!("../migrations/0013_proved_wishes.cql"),
    },
];

const SERVER_LIMITS: server::Limits = server::Limits {
    // The longest message to support, each character of it written as an escaped pair of surrogates, and the rest.
    body_bytes: 64 * 1024,
    // What the sweeper takes for the longest that a handler can be at work on a change.
    request_timeout: Duration::from_secs(10),
    connections: server::MAX_CONNECTIONS,
    drain: server::DRAIN_DEADLINE,
};

/// Where the service listens.
pub struct Listeners {
    /// The public interface.
    pub http: TcpListener,
    /// Health and metrics.
    pub admin: TcpListener,
}

/// `serve`: reads the settings, listens, runs.
pub async fn serve(start: Start) -> anyhow::Result<()> {
    let config = start.env.read(Config::from_env)?;
    let addresses = config.http;
    let bind = async |addr| {
        TcpListener::bind(addr)
            .await
            .with_context(|| format!("listen on {addr}"))
    };
    let listeners = Listeners {
        http: bind(addresses.http_addr).await?,
        admin: bind(addresses.admin_addr).await?,
    };
    run(config, listeners, start.metrics, start.shutdown).await
}

/// Runs until the stop: accept no more, finish the requests, stop the jobs, flush.
pub async fn run(
    config: Config,
    listeners: Listeners,
    metrics: Metrics,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let (http, admin) = (listeners.http.local_addr()?, listeners.admin.local_addr()?);
    topics::verify(&config.kafka, TOPICS)?;
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    let encoder = registry.register::<UserSnapshot>().await?;
    let producer = Producer::new(&config.kafka.brokers, &config.instance_name)?;

    let session = cql::connect(&config.cql).await?;
    cql::count_requests(&session, &metrics);
    let users = Arc::new(Users::new(Arc::clone(&session)).await?);
    let claims = Arc::new(EmailClaims::new(Arc::clone(&session)).await?);
    let intents = Arc::new(Intents::new(Arc::clone(&session)).await?);
    let desk = Arc::new(Desk {
        cases: Cases::new(Arc::clone(&session)).await?,
        places: CasePlaces::new(Arc::clone(&session)).await?,
    });
    let recent_sign_ins = Arc::new(RecentSignIns::new(Arc::clone(&session)).await?);
    let topic = Arc::new(UserTopic {
        producer: producer.clone(),
        encoder,
        notices: NoticeTopic {
            producer: producer.clone(),
            encoder: registry.register::<SecurityNotice>().await?,
        },
        users: Arc::clone(&users),
        moves: AddressMoves {
            claims: Arc::clone(&claims),
            users: Arc::clone(&users),
        },
        claims: Arc::clone(&claims),
        desk: Arc::clone(&desk),
        recent_sign_ins: Arc::clone(&recent_sign_ins),
    });
    let encoders = MailEncoders::register(&registry).await?;
    let mails = MailRequests::new(
        &session,
        Arc::clone(&users),
        Arc::clone(&claims),
        producer.clone(),
        encoders,
    );
    let mails = Arc::new(mails.await?);
    let passwords = Arc::new(Passwords::new(&config.passwords)?);
    let abandoned = Arc::new(AbandonedClaims {
        claims: Arc::clone(&claims),
        users: Arc::clone(&users),
    });
    let accounts = Arc::new(Accounts {
        claims,
        abandoned: Arc::clone(&abandoned),
        users: Arc::clone(&users),
        intents: Arc::clone(&intents),
        old_wishes: Intents::in_table(Arc::clone(&session), "wish_intents").await?,
        old_addresses: Intents::in_table(Arc::clone(&session), "former_email_intents").await?,
        topic: Arc::clone(&topic),
        mails: Arc::clone(&mails),
        passwords: Arc::clone(&passwords),
    });
    let vault = Vault::new(&config.key_encryption_key)?;
    let key_store = SigningKeys::new(Arc::clone(&session)).await?;
    let keys = signing_keys::open(&key_store, &vault).await?;
    let tokens = Arc::new(Tokens::new(config.auth.issuer.clone(), keys));
    let neighbour = |url| Neighbour::new(url, config.neighbour_deadline, Arc::clone(&tokens));
    let checkout = Arc::new(Checkout(neighbour(config.checkout_url)?));
    let catalog = Arc::new(Catalog(neighbour(config.catalog_url)?));
    let mailer = Arc::new(Mailer(neighbour(config.mailer_url)?));
    if let Some(first) = config.first_admin {
        first_admin::ensure(&accounts, &users, first).await?;
    }
    let at_work = AtWork {
        tasks: TaskTracker::new(),
        time_limit: SERVER_LIMITS.request_timeout,
    };
    let app = App {
        accounts: Arc::clone(&accounts),
        mails: Arc::clone(&mails),
        trusted_proxies: config.trusted_proxies,
        limits: Arc::new(Limits::new(&config.limits)),
        recent_sign_ins,
        at_work: at_work.clone(),
        trail: Arc::new(Trail::new(Arc::clone(&session), config.audit_kept_for).await?),
        verify_at_registration: config.verify_at_registration,
        users,
        passwords,
        sessions: Arc::new(Sessions::new(Arc::clone(&session)).await?),
        session_lifetime: config.session_lifetime,
        desk: Arc::clone(&desk),
        catalog,
        checkout,
        mailer,
        tokens: Arc::clone(&tokens),
        service_secrets: Arc::new(config.service_secrets),
        verifier: Verifier::new(&config.auth)?,
    };

    // Not Kafka: without it nothing can be changed, but everyone can still sign in.
    let checks = Checks::new().with("cql", move || {
        let session = Arc::clone(&session);
        async move { store::ping(&session).await }
    });
    tokio::spawn(admin::serve(
        listeners.admin,
        checks,
        metrics,
        shutdown.clone(),
    ));
    let stop_jobs = CancellationToken::new();
    let mut jobs = Parts::default();
    let stop = || stop_jobs.clone();
    let kept_for = config.closed_cases_kept_for;
    jobs.spawn(
        "sweep intents",
        jobs::sweep_intents::run(intents, topic, stop()),
    );
    jobs.spawn("request mails", jobs::request_mails::run(mails, stop()));
    jobs.spawn(
        "forget addresses",
        jobs::forget_addresses::run(accounts, stop()),
    );
    jobs.spawn(
        "release claims",
        jobs::release_claims::run(abandoned, stop()),
    );
    jobs.spawn(
        "forget cases",
        jobs::forget_cases::run(desk, kept_for, stop()),
    );
    jobs.spawn(
        "reload keys",
        jobs::reload_keys::run(tokens, key_store, vault, stop()),
    );

    // The addresses as they are: a setting may leave the port to the system.
    tracing::info!(instance = config.instance_name, %http, %admin, "ready");
    let router = routes::router(app);
    let serving = server::serve(listeners.http, router, SERVER_LIMITS, shutdown.clone());
    let served = parts::serve(serving, &mut jobs, &shutdown).await;
    // Those whose clients did not wait: each has an end, for it has a time limit.
    at_work.tasks.close();
    at_work.tasks.wait().await;
    stop_jobs.cancel();
    jobs.ended().await;
    producer.flush()?;
    served
}

/// `rotate-keys`: makes the next signing key, and says when it takes over; `at_once` there is no other one from then on.
pub async fn rotate_keys(env: Env, at_once: bool) -> anyhow::Result<Timestamp> {
    let config = env.read(RotateConfig::from_env)?;
    let session = cql::connect(&config.cql).await?;
    let vault = Vault::new(&config.key_encryption_key)?;
    let store = SigningKeys::new(Arc::clone(&session)).await?;
    let trail = Trail::new(session, config.audit_kept_for).await?;
    let deed = Deed {
        action: match at_once {
            true => Action::KeysWithdrawn,
            false => Action::KeysRotated,
        },
        actor_id: None,
        user_id: None,
        client: None,
    };
    let entry = trail.begin(deed).await?;
    let now = Timestamp::now_millis();
    let made = match at_once {
        true => signing_keys::replace(&store, &vault, now).await,
        false => signing_keys::rotate(&store, &vault, now).await,
    };
    let outcome = match &made {
        Ok(_) => Outcome::Done,
        Err(error) if error.is::<Refused>() => Outcome::Refused,
        Err(_) => Outcome::Unknown,
    };
    trail.end(&entry, None, outcome).await;
    made
}

/// `migrate`: tables, schemas and topics as this version needs them.
pub async fn migrate(env: Env) -> anyhow::Result<()> {
    let config = env.read(MigrateConfig::from_env)?;
    cql::migrate(&config.cql, MIGRATIONS).await?;
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    registry.require_compatibility().await?;
    registry.register::<UserSnapshot>().await?;
    registry.register::<SecurityNotice>().await?;
    MailEncoders::register(&registry).await?;
    topics::create(&config.kafka, TOPICS).await?;
    Ok(())
}
