//! svc-mailer, which alone knows what was written to whom.

use serde_json::Value;
use uuid::Uuid;

use crate::neighbour::{All, Neighbour, NeighbourError};

/// The way to svc-mailer.
pub struct Mailer(pub Neighbour);

impl Mailer {
    /// What was written to a user, newest first, as `GET /v1/notifications` shows it; `limit` of it at most.
    pub async fn notifications_of(
        &self,
        user_id: Uuid,
        limit: usize,
    ) -> Result<All<Value>, NeighbourError> {
        let path = format!("/internal/users/{user_id}/notifications");
        self.0.all(&path, limit).await
    }
}
