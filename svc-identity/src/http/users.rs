//! Users.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use platform::auth::Role;
use platform::http::client::Client;
use platform::http::problem::ProblemBody;
use platform::http::{IfMatch, Json, Language, Page, PageAmong, PageQuery, Path, Problem, Query};
use platform::ids::new_id;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::staff::Admin;
use super::user_shapes::{ProfileIn, UserOut, answer};
use super::{Fields, find};
use crate::accounts::NewAccount;
use crate::app::App;
use crate::domain::NotAllowed;
use crate::domain::account::Account;
use crate::domain::audit::{Action, Deed};
use crate::domain::email::Email;
use crate::domain::locale::Locale;
use crate::domain::name::Name;
use crate::domain::phone::Phone;
use crate::domain::{password, roles};

/// Who wants an account.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationIn {
    /// Upper and lower case are the same.
    #[schema(max_length = 254, example = "alice@example.com")]
    email: String,
    /// Any text that is not among those that are tried first.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024)]
    password: SecretString,
    #[schema(min_length = 1, max_length = 200, example = "Alice")]
    name: String,
    /// With the country code.
    #[schema(example = "+33612345678")]
    phone: Option<String>,
    /// `en`, `fr` or `es`; else what `Accept-Language` likes best.
    #[schema(example = "fr")]
    locale: Option<String>,
}

/// Which users.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UsersIn {
    /// The one with this address, in whatever case.
    #[param(max_length = 254)]
    email: Option<String>,
    /// Read by [`PageQuery`]; named here since other names are refused.
    #[serde(rename = "cursor")]
    #[param(ignore)]
    _cursor: Option<String>,
    #[serde(rename = "limit")]
    #[param(ignore)]
    _limit: Option<String>,
}

/// What a user may do.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolesIn {
    /// Any but `service`.
    #[schema(min_items = 1, max_items = 10)]
    roles: Vec<Role>,
}

impl RegistrationIn {
    fn check(self, preferred: Language, verify: bool) -> Result<NewAccount, Problem> {
        let mut fields = Fields::new();
        let email = fields.take("/email", Email::parse(&self.email));
        let password = password::check_new(self.password.expose_secret());
        let password = fields.take("/password", password.map(|()| self.password));
        let name = fields.take("/name", Name::parse(&self.name));
        let phone = self.phone.as_deref().map(Phone::parse).transpose();
        let phone = fields.take("/phone", phone);
        let locale = Locale::parse(self.locale.as_deref().unwrap_or(preferred.as_str()));
        let locale = fields.take("/locale", locale);
        let all = (|| {
            Some(NewAccount {
                id: new_id(),
                keeps_id: false,
                email: email?,
                password: password?,
                name: name?,
                phone: phone?,
                locale: locale?,
                roles: roles::of_new_user(),
                verify,
            })
        })();
        fields.complete(all)
    }
}

/// Register
///
/// The new user has the role `customer`, and gets a mail with which to prove the address.
#[utoipa::path(
    operation_id = "register_user",
    post, path = "/v1/users", tag = "users",
    request_body = RegistrationIn,
    responses(
        (status = 201, body = UserOut, headers(("ETag" = String))),
        (status = 409, description = "`email-taken`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemBody),
    )
)]
pub async fn register(
    State(app): State<App>,
    Client(client): Client,
    preferred: Language,
    Json(registration): Json<RegistrationIn>,
) -> Result<impl IntoResponse, Problem> {
    let new = registration.check(preferred, app.verify_at_registration)?;
    app.limits.registration(client)?;
    let deed = Deed::by_stranger(Action::Registered, None, client);
    let create = async { Ok(app.accounts.create(new).await?) };
    let made = app.trail.around_new(deed, create, |user| user.id);
    let user = made.await?;
    Ok((StatusCode::CREATED, answer(user)))
}

/// A user
#[utoipa::path(
    operation_id = "show_user",
    get, path = "/v1/users/{id}", tag = "users", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = UserOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: for admins", body = ProblemBody),
        (status = 404, description = "`not-found`", body = ProblemBody),
    )
)]
pub async fn show(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<impl IntoResponse, Problem> {
    Ok(answer(find(&app, id).await?.user))
}

/// Users
///
/// In no order that means anything. A page may have fewer than `limit` items, even none, and still not be the last
/// one.
#[utoipa::path(
    operation_id = "list_users",
    get, path = "/v1/users", tag = "users", security(("bearer" = [])),
    params(UsersIn, PageQuery),
    responses(
        (status = 200, body = Page<UserOut>),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: for admins", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
    )
)]
pub async fn list(
    State(app): State<App>,
    _: Admin,
    Query(wanted): Query<UsersIn>,
    PageAmong(page): PageAmong,
) -> Result<impl IntoResponse, Problem> {
    let Some(email) = wanted.email else {
        let (users, next) = app.users.list(page.cursor()?, page.limit()).await?;
        return Ok(Json(Page::new(users, next.as_ref()).map(UserOut::from)));
    };
    let email = Email::parse(&email)
        .map_err(|NotAllowed { rule, allowed }| Problem::invalid("?email", rule, allowed))?;
    let account = match app.accounts.claims.find(&email.key()).await? {
        Some(id) => app.users.find(id).await?,
        None => None,
    };
    // While an address is changed, the user has one and holds two.
    let users = account.into_iter().map(|account| account.user);
    let users = users.filter(|user| user.email.key() == email.key());
    let users = users.map(UserOut::from);
    Ok(Json(Page::all(users.collect())))
}

/// Change what others know of a user
#[utoipa::path(
    operation_id = "patch_user",
    patch, path = "/v1/users/{id}", tag = "users", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path),
        ("If-Match" = String, Header, description = "The ETag that the change starts from, or `*`"),
    ),
    request_body = ProfileIn,
    responses(
        (status = 200, body = UserOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: for admins", body = ProblemBody),
        (status = 404, description = "`not-found`", body = ProblemBody),
        (status = 412, description = "`stale`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 428, description = "`if-match-required`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn patch(
    State(app): State<App>,
    Client(client): Client,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    if_match: IfMatch,
    Json(wanted): Json<ProfileIn>,
) -> Result<impl IntoResponse, Problem> {
    let change = wanted.check()?;
    let deed = Deed::by(admin.user_id, Action::ProfileChanged, id, client);
    let user = super::change_profile(&app, deed, id, &if_match, &change).await?;
    Ok(answer(user))
}

/// Erase a user
///
/// For good, and everywhere, as `DELETE /v1/users/me` does; oneself, under the same condition.
#[utoipa::path(
    operation_id = "erase_user",
    delete, path = "/v1/users/{id}", tag = "users", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen, if it matters"),
    ),
    responses(
        (status = 204),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: for admins", body = ProblemBody),
        (status = 404, description = "`not-found`", body = ProblemBody),
        (status = 412, description = "`stale`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn erase(
    State(app): State<App>,
    Client(client): Client,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    if id == admin.user_id {
        return super::own_erasure::erase_own(&app, &admin, client, if_match).await;
    }
    let may = |account: &Account| super::check_version(if_match.as_ref(), account);
    let deed = Deed::by(admin.user_id, Action::Erased, id, client);
    app.trail.around(deed, app.accounts.erase(id, may)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say what a user may do
///
/// Where the roles change, every refresh token of the user is dead at once: the user signs in again. Access tokens that
/// are out keep the roles that they were issued with, for 15 minutes at most; but staff who are staff no more may do nothing here.
#[utoipa::path(
    put, path = "/v1/users/{id}/roles", tag = "users", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path),
        ("If-Match" = String, Header, description = "The ETag that the change starts from, or `*`"),
    ),
    request_body = RolesIn,
    responses(
        (status = 200, body = UserOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: for admins", body = ProblemBody),
        (status = 404, description = "`not-found`", body = ProblemBody),
        (status = 412, description = "`stale`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 428, description = "`if-match-required`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn put_roles(
    State(app): State<App>,
    Client(client): Client,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    if_match: IfMatch,
    Json(wanted): Json<RolesIn>,
) -> Result<impl IntoResponse, Problem> {
    let mut fields = Fields::new();
    let roles = fields.take("/roles", roles::of_person(&wanted.roles));
    let roles = fields.complete(roles)?;
    let changed = app.accounts.change(id, |account| {
        super::check_version(&if_match, &account)?;
        Ok::<_, Problem>(account.with_roles(roles))
    });
    let deed = Deed::by(admin.user_id, Action::RolesChanged, id, client);
    let user = app.trail.around(deed, changed).await?;
    Ok(answer(user))
}
