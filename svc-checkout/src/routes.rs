//! Every URL and its handler.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, put};
use platform::http::docs::{self, BearerAuth};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{
    attendance, attendee, attendees, orders, payments, quantities, tickets, webhooks,
};

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "svc-checkout",
    description = "Orders, payments and tickets.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
), modifiers(&BearerAuth))]
struct Api;

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(orders::place, orders::list))
        .routes(routes!(orders::get))
        .routes(routes!(orders::cancel::cancel))
        .routes(routes!(orders::refund::refund))
        .routes(routes!(payments::pay))
        .merge(api_of_webhooks())
        .routes(routes!(tickets::list))
        .routes(routes!(attendance::say))
        .routes(routes!(attendee::get, attendee::put))
        .routes(routes!(attendees::add))
        .routes(routes!(attendees::erase))
}

fn api_of_webhooks() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::stripe))
        .layer(DefaultBodyLimit::max(webhooks::MAX_WEBHOOK_BYTES))
}

/// The document that `svc-checkout openapi` prints.
pub fn openapi() -> OpenApi {
    docs::with_problems(api().into_openapi())
}

/// The routes with their documentation.
pub fn router(app: App) -> Router {
    let (router, openapi) = api().split_for_parts();
    let openapi = docs::with_problems(openapi);
    router
        .merge(docs::router(&openapi))
        // Not in the document and not at the gateway: for svc-identity,
        .route("/internal/users/{id}/orders", get(orders::of_user::list))
        .route(
            "/internal/users/{id}/orders/{order_id}",
            get(orders::of_user::get),
        )
        // and for svc-catalog.
        .route("/internal/events/{id}/quantities", put(quantities::lower))
        .with_state(app)
}
