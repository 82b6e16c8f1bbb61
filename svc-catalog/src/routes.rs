//! Every URL and its handler.

use axum::Router;
use axum::routing::{get, post, put};
use platform::http::docs::{self, BearerAuth};
use utoipa::OpenApi;

use crate::app::App;
use crate::http::event::life_cycle;
use crate::http::{availability, event, own_event, published_event, ticket_type, voucher};

/// The public port.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/events", get(published_event::list).post(event::create))
        .route(
            "/v1/events/{id}",
            get(event::find).put(event::change).delete(event::delete),
        )
        .route("/v1/events/{id}/publish", post(life_cycle::publish))
        .route("/v1/events/{id}/cancel", post(life_cycle::cancel))
        .route("/v1/events/{id}/archive", post(life_cycle::archive))
        .route(
            "/v1/events/{id}/ticket-types",
            get(ticket_type::list).post(ticket_type::create),
        )
        .route(
            "/v1/events/{id}/ticket-types/{ticket_type_id}",
            put(ticket_type::change).delete(ticket_type::delete),
        )
        .route(
            "/v1/events/{id}/vouchers",
            get(voucher::list).post(voucher::create),
        )
        .route(
            "/v1/events/{id}/vouchers/{code}",
            put(voucher::change).delete(voucher::delete),
        )
        .route("/v1/events/{id}/availability", get(availability::find))
        .route(
            "/v1/events/{id}/availability/stream",
            get(availability::stream::follow),
        )
        .route("/v1/organizers/me/events", get(own_event::list))
        // Not in the document and not at the gateway: for svc-identity.
        .route("/internal/users/{id}/events", get(own_event::list_of_user))
        .route(
            "/internal/users/{id}/vouchers",
            get(own_event::vouchers_of_user),
        )
        .merge(docs::router(&openapi()))
        .with_state(app)
}

/// The OpenAPI document of these URLs.
pub fn openapi() -> utoipa::openapi::OpenApi {
    docs::with_problems(Api::openapi())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Catalog", description = "Events, ticket types and what is left of them."),
    paths(
        published_event::list,
        event::create,
        own_event::list,
        event::find,
        event::change,
        event::delete,
        life_cycle::publish,
        life_cycle::cancel,
        life_cycle::archive,
        ticket_type::create,
        ticket_type::list,
        ticket_type::change,
        ticket_type::delete,
        voucher::create,
        voucher::list,
        voucher::change,
        voucher::delete,
        availability::find,
        availability::stream::follow,
    ),
    modifiers(&BearerAuth)
)]
struct Api;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_checked_in() {
        let current = serde_json::to_value(openapi()).unwrap();
        let checked_in: serde_json::Value =
            serde_json::from_str(include_str!("../openapi.json")).unwrap();
        assert_eq!(
            current, checked_in,
            "run `cargo run -p svc-catalog -- openapi > svc-catalog/openapi.json`"
        );
    }
}
