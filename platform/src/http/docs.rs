//! The API's documentation: the OpenAPI document at `/api-docs/openapi.json` and Swagger UI at `/api-docs`.
//!
//! The gateway serves the same pages under `/api-docs/<service>`, and the service does not know of that prefix: every
//! link on them is relative.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_swagger_ui::Config;

use super::problem::{Code, PROBLEM_JSON, Problem, ProblemBody};

/// Relative links on a page at `/api-docs` would lead beside it, so the browser is sent to `/api-docs/` first. By a
/// script, since a `Location` would have to name the prefix that only the browser knows.
const ADD_SLASH: &str = r#"<!doctype html><title>API</title><script>
location.replace(location.pathname + "/" + location.search + location.hash)
</script><noscript>Swagger UI needs JavaScript.</noscript>"#;

/// Adds the security scheme `bearer` to a document: `#[openapi(modifiers(&BearerAuth))]`, and `security(("bearer" = []))`
/// at each path that wants a token.
#[derive(Debug, Clone, Copy)]
pub struct BearerAuth;

impl utoipa::Modify for BearerAuth {
    fn modify(&self, openapi: &mut OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The access token of a session."))
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The document with a `default` answer at every operation: everything that is not listed there is a problem. Refusals that
/// are listed are problems as well, and get their media type.
#[must_use]
pub fn with_problems(mut openapi: OpenApi) -> OpenApi {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ProblemBody::name())))
        .build();
    let problem: RefOr<_> = ResponseBuilder::new()
        .description("A problem")
        .content(PROBLEM_JSON, content)
        .build()
        .into();
    for path in openapi.paths.paths.values_mut() {
        let operations = [
            &mut path.get,
            &mut path.put,
            &mut path.post,
            &mut path.delete,
            &mut path.patch,
        ];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            for (status, response) in responses.iter_mut() {
                if let RefOr::T(response) = response
                    && status.starts_with(['4', '5'])
                {
                    let content = std::mem::take(&mut response.content);
                    let problems = content.into_values();
                    let problems = problems.map(|problem| (PROBLEM_JSON.to_owned(), problem));
                    response.content = problems.collect();
                }
            }
            let default = responses.entry("default".to_owned());
            default.or_insert_with(|| problem.clone());
        }
    }
    let mut schemas = vec![(ProblemBody::name().into_owned(), ProblemBody::schema())];
    ProblemBody::schemas(&mut schemas);
    let components = openapi.components.get_or_insert_default();
    components.schemas.extend(schemas);
    openapi
}

/// The pages for `openapi`, to be merged into the service's router.
pub fn router<S: Clone + Send + Sync + 'static>(openapi: &OpenApi) -> Router<S> {
    let json = serde_json::to_vec(openapi).expect("an OpenAPI document can be written as JSON");
    let json = Bytes::from(json);
    let ui = Arc::new(Config::new(["openapi.json"]));
    Router::new()
        .route(
            "/api-docs/openapi.json",
            get(async move || ([(header::CONTENT_TYPE, "application/json")], json.clone())),
        )
        .route("/api-docs", get(async || Html(ADD_SLASH)))
        .route("/api-docs/", get(index).with_state(Arc::clone(&ui)))
        .route("/api-docs/{*file}", get(file).with_state(ui))
}

async fn index(State(ui): State<Arc<Config<'static>>>) -> Response {
    swagger("", ui)
}

async fn file(State(ui): State<Arc<Config<'static>>>, Path(file): Path<String>) -> Response {
    swagger(&file, ui)
}

fn swagger(path: &str, ui: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path, ui) {
        Ok(Some(file)) => (
            [(header::CONTENT_TYPE, file.content_type)],
            file.bytes.into_owned(),
        )
            .into_response(),
        Ok(None) => Problem::new(Code::NotFound).into_response(),
        Err(error) => Problem::internal(anyhow::anyhow!("swagger ui: {error}")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn fetch(path: &str) -> (StatusCode, String, String) {
        let openapi = OpenApi::default();
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router::<()>(&openapi).oneshot(request).await.unwrap();
        let status = response.status();
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn the_pages_are_there() {
        for (path, kind, part) in [
            (
                "/api-docs",
                "text/html; charset=utf-8",
                r#"location.pathname + "/""#,
            ),
            ("/api-docs/", "text/html", "swagger-ui"),
            ("/api-docs/index.html", "text/html", "swagger-ui"),
            (
                "/api-docs/openapi.json",
                "application/json",
                r#""openapi":"3.1"#,
            ),
            ("/api-docs/swagger-ui.css", "text/css", ".swagger-ui"),
            (
                "/api-docs/swagger-initializer.js",
                "text/javascript",
                r#""url": "openapi.json""#,
            ),
        ] {
            let (status, found, body) = fetch(path).await;
            assert_eq!((status.as_u16(), found.as_str()), (200, kind), "{path}");
            assert!(body.contains(part), "{path}: {part}");
        }
        assert_eq!(fetch("/api-docs/nothing.js").await.0, 404);
    }

    #[test]
    fn every_refusal_is_a_problem() {
        #[utoipa::path(get, path = "/tea", responses(
            (status = 200, description = "Tea", body = String),
            (status = 409, description = "A coffee pot", body = ProblemBody),
        ))]
        #[expect(dead_code, reason = "it is there for what is written above it")]
        fn tea() {}

        #[derive(utoipa::OpenApi)]
        #[openapi(paths(tea))]
        struct Api;

        let openapi = with_problems(<Api as utoipa::OpenApi>::openapi());
        let json = serde_json::to_value(&openapi).unwrap();
        let responses = &json["paths"]["/tea"]["get"]["responses"];
        let schema = serde_json::json!({"schema": {"$ref": "#/components/schemas/Problem"}});
        for status in ["409", "default"] {
            let expected = serde_json::json!({ PROBLEM_JSON: schema });
            assert_eq!(responses[status]["content"], expected, "{status}");
        }
        assert!(responses["200"]["content"]["application/problem+json"].is_null());
    }

    #[test]
    fn the_document_says_how_to_sign_in() {
        let mut openapi = OpenApi::default();
        utoipa::Modify::modify(&BearerAuth, &mut openapi);
        let json = serde_json::to_value(&openapi).unwrap();
        let scheme = &json["components"]["securitySchemes"]["bearer"];
        assert_eq!(scheme["type"], "http");
        assert_eq!(scheme["scheme"], "bearer");
    }

    #[tokio::test]
    async fn no_link_leaves_the_prefix() {
        let (_, _, page) = fetch("/api-docs/").await;
        for link in page
            .split(['"', '\''])
            .filter(|text| text.contains(".js") || text.contains(".css"))
        {
            assert!(!link.starts_with('/') && !link.contains("//"), "{link}");
        }
    }
}
