//! All that is held about a person: here, and asked from the services that hold the rest. It is whole or not at all: who
//! keeps it, or goes to another shop with it, should not have to wonder what is missing.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::clock::Timestamp;
use platform::cql::CqlError;
use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::desk::Wanted;
use crate::domain::audit::Entry;
use crate::domain::case::{Case, Place};
use crate::domain::session::Session;
use crate::neighbour::{All, NeighbourError};

/// Most of one kind, the newest: what is sent is held in memory.
pub const MAX_OF_A_KIND: usize = 10_000;
/// Rows that are read at once.
const READS_AT_ONCE: usize = 16;

/// What there is.
pub struct Held {
    /// Sign-ins that have not run out.
    pub sessions: All<Session>,
    /// From where the person signed in lately.
    pub clients: All<String>,
    /// Where the person is in the audit trail.
    pub audit: All<Entry<String>>,
    /// What was written to support, and what support answered.
    pub cases: All<Case>,
    /// Orders with their tickets.
    pub orders: All<Value>,
    /// Events of an organizer.
    pub events: All<Value>,
    /// Vouchers of these.
    pub vouchers: All<Value>,
    /// What was written to the person.
    pub notifications: All<Value>,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database.
    #[error(transparent)]
    Store(#[from] CqlError),
    /// svc-catalog, svc-checkout or svc-mailer.
    #[error("ask {service}")]
    Neighbour {
        /// Which one.
        service: &'static str,
        /// Why it does not say.
        source: NeighbourError,
    },
}

/// Everything about a user.
pub async fn gather(app: &App, user_id: Uuid, now: Timestamp) -> Result<Held, ExportError> {
    let asked = |service| move |source| ExportError::Neighbour { service, source };
    let (here, orders, events, vouchers, notifications) = futures::try_join!(
        async { Ok(here(app, user_id, now).await?) },
        async {
            let orders = app.checkout.all_orders_of(user_id, MAX_OF_A_KIND).await;
            orders.map_err(asked("svc-checkout"))
        },
        async {
            let events = app.catalog.events_of(user_id, MAX_OF_A_KIND).await;
            events.map_err(asked("svc-catalog"))
        },
        async {
            let vouchers = app.catalog.vouchers_of(user_id, MAX_OF_A_KIND).await;
            vouchers.map_err(asked("svc-catalog"))
        },
        async {
            let sent = app.mailer.notifications_of(user_id, MAX_OF_A_KIND).await;
            sent.map_err(asked("svc-mailer"))
        },
    )?;
    let (sessions, clients, audit, cases) = here;
    Ok(Held {
        sessions,
        clients,
        audit,
        cases,
        orders,
        events,
        vouchers,
        notifications,
    })
}

type Here = (All<Session>, All<String>, All<Entry<String>>, All<Case>);

async fn here(app: &App, user_id: Uuid, now: Timestamp) -> Result<Here, CqlError> {
    // One more shows that there is more.
    const READ: usize = MAX_OF_A_KIND + 1;
    let sessions = app.sessions.of_user(user_id, READ).await?;
    let clients = app.recent_sign_ins.of_user(user_id, READ).await?;
    let audit = app.trail.of_user(user_id, READ, now).await?;
    let wanted = Wanted {
        user_id: Some(user_id),
        status: None,
    };
    let (heads, _) = app.desk.list(wanted, Place::newest(now), READ).await?;
    let cases: Vec<Option<Case>> = stream::iter(heads)
        .map(|head| app.desk.cases.find(head.id))
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok((
        All::cut(sessions, MAX_OF_A_KIND),
        All::cut(clients, MAX_OF_A_KIND),
        All::cut(audit, MAX_OF_A_KIND),
        All::cut(cases.into_iter().flatten().collect(), MAX_OF_A_KIND),
    ))
}
