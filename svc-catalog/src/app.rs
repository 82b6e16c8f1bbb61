//! What handlers, consumers and jobs share.

use std::sync::Arc;

use axum::extract::FromRef;
use platform::auth::Verifier;
use platform::intent::Intents;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::checkout::Checkout;
use crate::live_events::LiveEvents;
use crate::live_stock::LiveStock;
use crate::live_vouchers::LiveVouchers;
use crate::publish::EventPublication;
use crate::publish_voucher::VoucherPublication;
use crate::store::event::Events;
use crate::store::events_by_organizer::EventsByOrganizer;
use crate::store::voucher::Vouchers;

/// Cheap to clone: every request gets one.
#[derive(Clone)]
pub struct App {
    /// Who is calling.
    pub verifier: Arc<Verifier>,
    /// The events.
    pub events: Arc<Events>,
    /// Whose they are.
    pub by_organizer: Arc<EventsByOrganizer>,
    /// Those that people may see, in memory.
    pub live: Arc<LiveEvents>,
    /// The publications that are owed.
    pub intents: Arc<Intents>,
    /// How they are made.
    pub publication: Arc<EventPublication>,
    /// Vouchers.
    pub vouchers: Arc<Vouchers>,
    /// The publications of vouchers that are owed.
    pub voucher_intents: Arc<Intents>,
    /// How they are made.
    pub voucher_publication: Arc<VoucherPublication>,
    /// How often vouchers are used.
    pub live_vouchers: Arc<LiveVouchers>,
    /// What is left of everything.
    pub stock: Arc<LiveStock>,
    /// Room for those who watch an event's stock.
    pub streams: Arc<Semaphore>,
    /// Set off when the service stops: what would never end by itself ends then.
    pub stopping: CancellationToken,
    /// Who says how much may be taken away.
    pub checkout: Arc<Checkout>,
}

impl FromRef<App> for Arc<Verifier> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.verifier)
    }
}
