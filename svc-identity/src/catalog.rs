//! svc-catalog, which alone knows who organizes what.

use serde_json::Value;
use uuid::Uuid;

use crate::neighbour::{All, Neighbour, NeighbourError};

/// The way to svc-catalog.
pub struct Catalog(pub Neighbour);

impl Catalog {
    /// Events of a user, drafts included, newest first, as `GET /v1/organizers/me/events` shows them; `limit` at most.
    pub async fn events_of(
        &self,
        user_id: Uuid,
        limit: usize,
    ) -> Result<All<Value>, NeighbourError> {
        let path = format!("/internal/users/{user_id}/events");
        self.0.all(&path, limit).await
    }

    /// Vouchers of these events, as `GET /v1/events/{id}/vouchers` shows them, each with its `event_id`; `limit` at most.
    pub async fn vouchers_of(
        &self,
        user_id: Uuid,
        limit: usize,
    ) -> Result<All<Value>, NeighbourError> {
        let path = format!("/internal/users/{user_id}/vouchers");
        self.0.all(&path, limit).await
    }
}
