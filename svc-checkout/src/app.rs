//! What handlers, consumers and jobs share.

use std::sync::Arc;

use axum::extract::FromRef;
use platform::auth::Verifier;
use platform::limit::Buckets;

use crate::attendee_topic::AttendeeTopic;
use crate::box_office::client::BoxOffice;
use crate::box_office::inventory::InventoryTable;
use crate::box_office::memory::Memory;
use crate::box_office::sold_out::SoldOut;
use crate::box_office::vouchers::VoucherTable;
use crate::guest_topic::GuestTopic;
use crate::payment::Cashier;
use crate::payment::stripe::webhook::Webhooks;
use crate::store::events::EventStore;
use crate::store::orders::OrderStore;
use crate::ticket_code::TicketSigner;

/// The service, as a handler sees it. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Access tokens.
    pub verifier: Arc<Verifier>,
    /// The way into the box office.
    pub box_office: Arc<BoxOffice>,
    /// Which commands the box office remembers.
    pub memory: Arc<Memory>,
    /// What nothing is left of.
    pub sold_out: Arc<SoldOut>,
    /// What may be sold.
    pub inventory: Arc<InventoryTable>,
    /// What vouchers take off.
    pub vouchers: Arc<VoucherTable>,
    /// Who asked for vouchers that are none.
    pub voucher_guesses: Arc<Buckets>,
    /// Orders and tickets.
    pub orders: Arc<OrderStore>,
    /// What tickets say of their events.
    pub events: Arc<EventStore>,
    /// Who comes with which ticket.
    pub attendees: Arc<AttendeeTopic>,
    /// Who the buyers without an account are.
    pub guests: Arc<GuestTopic>,
    /// Payments.
    pub cashier: Arc<Cashier>,
    /// What Stripe tells by itself, where it is the provider.
    pub stripe_webhooks: Option<Arc<Webhooks>>,
    /// Codes of tickets.
    pub ticket_signer: Arc<TicketSigner>,
}

impl FromRef<App> for Arc<Verifier> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.verifier)
    }
}
