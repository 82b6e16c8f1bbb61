//! Every URL and its handler.

use axum::Router;
use axum::routing::get;
use platform::http::docs::{self, BearerAuth};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::http::notification;

#[derive(OpenApi)]
#[openapi(info(title = "Mailer", description = "What was sent to whom."), modifiers(&BearerAuth))]
struct Base;

/// The URLs are beside the handlers; the test below has them in one list.
fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(notification::list_notifications))
        .routes(routes!(notification::show_notification))
}

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    docs::with_problems(api().into_openapi())
}

/// The whole public interface.
pub(crate) fn router(state: AppState) -> Router {
    let (router, openapi) = api().split_for_parts();
    let openapi = docs::with_problems(openapi);
    router
        .merge(docs::router(&openapi))
        // Not in the document and not at the gateway: for svc-identity.
        .route(
            "/internal/users/{id}/notifications",
            get(notification::list_of_user),
        )
        .with_state(state)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_url_has_its_handler() {
        let openapi = serde_json::to_value(super::openapi()).unwrap();
        let mut urls = String::new();
        for (path, methods) in openapi["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let handler = operation["operationId"].as_str().unwrap();
                urls += &format!("{} {path} → {handler}\n", method.to_uppercase());
            }
        }
        insta::assert_snapshot!(urls, @r"
        GET /v1/notifications → list_notifications
        GET /v1/notifications/{id} → show_notification
        ");
    }

    #[test]
    fn the_document_that_is_checked_in_is_this_one() {
        let now = serde_json::to_value(super::openapi()).unwrap();
        let checked_in: serde_json::Value =
            serde_json::from_str(include_str!("../openapi.json")).unwrap();
        assert_eq!(
            now, checked_in,
            "run `cargo run -p svc-mailer -- openapi > svc-mailer/openapi.json`"
        );
    }
}
