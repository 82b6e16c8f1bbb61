//! Every URL and its handler.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use platform::http::docs::{self, BearerAuth};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::to_the_end::to_the_end;
use crate::http::{
    audit, cases, customers, export, keys, mail_links, me, service_tokens, sessions, users,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Identity", description = "Users, their roles and their sessions; the support desk."),
    modifiers(&BearerAuth)
)]
struct Base;

/// The URLs are beside the handlers; the test below has them in one list.
fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(users::register, users::list))
        .routes(routes!(me::show_me, me::patch_me, me::erase_me))
        .routes(routes!(me::change_password))
        .routes(routes!(me::wish_email))
        .routes(routes!(export::export_me))
        .routes(routes!(users::show, users::patch, users::erase))
        .routes(routes!(users::put_roles))
        .routes(routes!(sessions::sign_in))
        .routes(routes!(sessions::refresh))
        .routes(routes!(sessions::sign_out))
        .routes(routes!(mail_links::ask_for_reset))
        .routes(routes!(mail_links::reset_password))
        .routes(routes!(mail_links::ask_for_verification))
        .routes(routes!(mail_links::verify_email))
        .routes(routes!(mail_links::change_email))
        .routes(routes!(cases::open_case, cases::list_cases))
        .routes(routes!(cases::show_case, cases::change_case))
        .routes(routes!(cases::write_message))
        .routes(routes!(customers::show_customer))
        .routes(routes!(audit::list_audit))
        .routes(routes!(keys::jwks))
        .routes(routes!(keys::openid_configuration))
}

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    docs::with_problems(api().into_openapi())
}

/// The whole public interface.
pub(crate) fn router(app: App) -> Router {
    let (router, openapi) = api().split_for_parts();
    let openapi = docs::with_problems(openapi);
    router
        // Not in the document and not at the gateway: for our own services.
        .route("/v1/service-tokens", post(service_tokens::issue))
        .route_layer(from_fn_with_state(app.at_work.clone(), to_the_end))
        .merge(docs::router(&openapi))
        .with_state(app)
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
        GET /.well-known/jwks.json → list_keys
        GET /.well-known/openid-configuration → show_openid_configuration
        GET /v1/audit → list_audit
        POST /v1/email-changes/confirm → change_email
        POST /v1/email-verifications → ask_for_verification
        POST /v1/email-verifications/confirm → verify_email
        POST /v1/password-resets → ask_for_reset
        POST /v1/password-resets/confirm → reset_password
        POST /v1/sessions → sign_in
        DELETE /v1/sessions/current → sign_out
        POST /v1/sessions/refresh → refresh_session
        GET /v1/support/cases → list_cases
        POST /v1/support/cases → open_case
        GET /v1/support/cases/{id} → show_case
        PATCH /v1/support/cases/{id} → change_case
        POST /v1/support/cases/{id}/messages → write_message
        GET /v1/support/customers/{user_id} → show_customer
        GET /v1/users → list_users
        POST /v1/users → register_user
        DELETE /v1/users/me → erase_me
        GET /v1/users/me → show_me
        PATCH /v1/users/me → patch_me
        POST /v1/users/me/email → wish_email
        GET /v1/users/me/export → export_me
        POST /v1/users/me/password → change_password
        DELETE /v1/users/{id} → erase_user
        GET /v1/users/{id} → show_user
        PATCH /v1/users/{id} → patch_user
        PUT /v1/users/{id}/roles → put_roles
        ");
    }

    #[test]
    fn the_document_that_is_checked_in_is_this_one() {
        let now = serde_json::to_value(super::openapi()).unwrap();
        let checked_in: serde_json::Value =
            serde_json::from_str(include_str!("../openapi.json")).unwrap();
        assert_eq!(
            now, checked_in,
            "run `cargo run -p svc-identity -- openapi > svc-identity/openapi.json`"
        );
    }
}
