//! svc-checkout, which alone knows who ordered what.

use platform::http::Page;
use serde_json::Value;
use uuid::Uuid;

use crate::neighbour::{All, Neighbour, NeighbourError};

/// The way to svc-checkout.
pub struct Checkout(pub Neighbour);

impl Checkout {
    /// Orders of a user with their tickets, newest first, as `GET /v1/orders` shows them to who made them.
    pub async fn orders_of(
        &self,
        user_id: Uuid,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Value>, NeighbourError> {
        let path = format!("/internal/users/{user_id}/orders");
        self.0.page(&path, cursor, limit).await
    }

    /// The same of all orders, `limit` at most.
    pub async fn all_orders_of(
        &self,
        user_id: Uuid,
        limit: usize,
    ) -> Result<All<Value>, NeighbourError> {
        let path = format!("/internal/users/{user_id}/orders");
        self.0.all(&path, limit).await
    }

    /// Whether the order is this user's.
    pub async fn has_order(&self, user_id: Uuid, order_id: Uuid) -> Result<bool, NeighbourError> {
        let path = format!("/internal/users/{user_id}/orders/{order_id}");
        self.0.has(&path).await
    }
}
