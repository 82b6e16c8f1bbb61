//! What handlers, consumers and jobs share.

use std::sync::Arc;

use axum::extract::FromRef;
use platform::auth::Verifier;

use crate::delivery::Delivery;
use crate::store::due::DueNotifications;

/// One for the process.
pub struct App {
    /// Whose tokens are believed.
    pub verifier: Arc<Verifier>,
    /// Messages and the way they go.
    pub delivery: Arc<Delivery>,
    /// Messages that wait.
    pub due: DueNotifications,
}

/// The state of handlers. Cheap to clone.
#[derive(Clone)]
pub struct AppState(pub Arc<App>);

impl FromRef<AppState> for Arc<Verifier> {
    fn from_ref(state: &AppState) -> Self {
        Arc::clone(&state.0.verifier)
    }
}
