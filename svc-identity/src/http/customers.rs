//! What support sees of a customer.

use axum::extract::State;
use platform::http::client::Client;
use platform::http::problem::ProblemBody;
use platform::http::{Json, PageQuery, Path, Problem};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::find;
use super::staff::Supporter;
use super::user_shapes::UserOut;
use crate::app::App;
use crate::domain::audit::{Action, Deed};
use crate::neighbour::NeighbourError;

/// A customer with orders.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Customer)]
pub struct CustomerOut {
    profile: UserOut,
    /// Newest first, as svc-checkout has them in this moment and shows them at `GET /v1/orders`; none where `partial` is true.
    #[schema(value_type = Vec<Object>)]
    orders: Vec<Value>,
    /// Where the next page of orders begins; null at the end.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// The orders are missing: svc-checkout did not answer in time.
    partial: bool,
}

/// A customer, with the orders asked from svc-checkout in this moment
///
/// Each look is in the audit trail before it is answered. When svc-checkout is away or slow, the profile comes without the
/// orders, and `partial` is true.
#[utoipa::path(
    get, path = "/v1/support/customers/{user_id}", tag = "support", security(("bearer" = [])),
    params(("user_id" = Uuid, Path), PageQuery),
    responses(
        (status = 200, body = CustomerOut),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: for support and admins", body = ProblemBody),
        (status = 404, description = "`not-found`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn show_customer(
    State(app): State<App>,
    Client(client): Client,
    Supporter(caller): Supporter,
    Path(user_id): Path<Uuid>,
    page: PageQuery,
) -> Result<Json<CustomerOut>, Problem> {
    let look = async {
        let profile = find(&app, user_id).await?.user.into();
        let orders = app
            .checkout
            .orders_of(user_id, page.cursor_text(), page.limit())
            .await;
        Ok(match orders {
            Ok(orders) => CustomerOut {
                profile,
                orders: orders.items,
                next_cursor: orders.next_cursor,
                partial: false,
            },
            Err(NeighbourError::NotACursor) => {
                let detail = "not a cursor of this customer's orders";
                return Err(Problem::invalid("?cursor", "invalid", detail));
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a customer is shown without the orders");
                CustomerOut {
                    profile,
                    orders: Vec::new(),
                    next_cursor: None,
                    partial: true,
                }
            }
        })
    };
    let deed = Deed::by(caller.user_id, Action::CustomerSeen, user_id, client);
    app.trail.around(deed, look).await.map(Json)
}
