//! Every URL and its handler.

use axum::Router;
use platform::http::docs;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::http::notification;

fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(about())
        .routes(routes!(notification::list)) // GET /v1/notifications
        .routes(routes!(notification::get)) // GET /v1/notifications/{id}
}

/// The public interface and its documentation.
pub fn router(state: AppState) -> Router {
    let (router, openapi) = api().split_for_parts();
    router.merge(docs::router(&openapi)).with_state(state)
}

/// The OpenAPI document.
pub fn openapi() -> OpenApi {
    api().split_for_parts().1
}

fn about() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let mut openapi = OpenApi::default();
    openapi.info.title = "Mailer".to_owned();
    openapi.info.version = env!("CARGO_PKG_VERSION").to_owned();
    openapi.info.description = Some("What was sent to whom.".to_owned());
    openapi
        .components
        .get_or_insert_default()
        .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    openapi
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_that_is_checked_in_is_this_one() {
        let openapi = serde_json::to_string_pretty(&super::openapi()).unwrap();
        assert_eq!(
            include_str!("../openapi.json").trim(),
            openapi,
            "run `cargo run -p svc-mailer -- openapi > svc-mailer/openapi.json`"
        );
    }
}
