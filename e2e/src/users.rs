//! People: each test makes its own, so that no test sees another's orders or mail.

use anyhow::Context as _;
use platform::auth::Role;
use platform::ids::new_id;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::api::Api;
use crate::stack::Stack;

/// The password of every user that this crate makes, and of the seeded ones.
pub const PASSWORD: &str = "correct horse battery staple";
/// Exists from the first start of svc-identity on.
pub const ADMIN_EMAIL: &str = "admin@example.com";

/// The text of a uuid in an answer.
pub fn id_of(value: &Value) -> anyhow::Result<Uuid> {
    let text = value["id"]
        .as_str()
        .with_context(|| format!("no id in {value}"))?;
    text.parse().with_context(|| format!("{text} is no id"))
}

/// Someone who is signed in.
#[derive(Debug, Clone)]
pub struct User {
    /// Id.
    pub id: Uuid,
    /// E-mail address.
    pub email: String,
    /// Full name.
    pub name: String,
    /// Access token; it lives for 15 minutes.
    pub token: String,
    /// Refresh token.
    pub refresh_token: String,
}

/// Signs in. `Ok(None)`: refused as a wrong user or password.
pub async fn sign_in(api: &Api, email: &str) -> anyhow::Result<Option<User>> {
    let credentials = json!({"email": email, "password": PASSWORD});
    let answer = api.post("/v1/sessions").json(&credentials).send().await?;
    if answer.status == 401 {
        return Ok(None);
    }
    let session = answer.expect(200)?;
    let text = |name: &str| {
        let value = session[name].as_str().map(str::to_owned);
        value.with_context(|| format!("the session has no {name}"))
    };
    let token = text("access_token")?;
    let me = api
        .get("/v1/users/me")
        .token(&token)
        .send()
        .await?
        .expect(200)?;
    Ok(Some(User {
        id: id_of(&me)?,
        email: email.to_owned(),
        name: me["name"].as_str().unwrap_or_default().to_owned(),
        refresh_token: text("refresh_token")?,
        token,
    }))
}

/// Registers someone who is not signed in yet. `locale` is en, fr or es.
pub async fn register(api: &Api, email: &str, name: &str, locale: &str) -> anyhow::Result<Value> {
    let body = json!({"email": email, "password": PASSWORD, "name": name, "locale": locale});
    api.post("/v1/users").json(&body).send().await?.expect(201)
}

/// Gives a user these roles and customer, in place of those he has. They are in the next access token.
pub async fn set_roles(
    api: &Api,
    admin_token: &str,
    user: Uuid,
    roles: &[Role],
) -> anyhow::Result<()> {
    let path = format!("/v1/users/{user}");
    let etag = api.get(&path).token(admin_token).send().await?.etag()?;
    let mut names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    names.push(Role::Customer.as_str());
    names.sort_unstable();
    names.dedup();
    let answer = api
        .put(format!("{path}/roles"))
        .token(admin_token)
        .if_match(&etag)
        .json(&json!({"roles": names}))
        .send()
        .await?;
    anyhow::ensure!(matches!(answer.status, 200 | 204), "{answer}");
    Ok(())
}

/// An address that nobody else has.
pub fn fresh_email(label: &str) -> String {
    format!("{label}-{}@example.com", new_id().simple())
}

impl Stack {
    /// A fresh customer who reads English, signed in.
    pub async fn customer(&self) -> anyhow::Result<User> {
        self.user(&[]).await
    }

    /// A fresh user with these roles who reads English, signed in.
    pub async fn user(&self, roles: &[Role]) -> anyhow::Result<User> {
        self.user_who_reads("en", roles).await
    }

    /// A fresh user with these roles, signed in. `locale` is en, fr or es.
    pub async fn user_who_reads(&self, locale: &str, roles: &[Role]) -> anyhow::Result<User> {
        let label = roles.first().map_or("customer", |role| role.as_str());
        let email = fresh_email(label);
        let user = register(self.identity(), &email, &format!("Test {label}"), locale).await?;
        if !roles.is_empty() {
            let admin = self.admin_token().await?;
            set_roles(self.identity(), &admin, id_of(&user)?, roles).await?;
        }
        sign_in(self.identity(), &email)
            .await?
            .with_context(|| format!("{email} was registered and cannot sign in"))
    }

    /// An access token of the first admin. Signed in once per process: sign-ins are slow on purpose and limited.
    pub async fn admin_token(&self) -> anyhow::Result<String> {
        static TOKEN: OnceCell<String> = OnceCell::const_new();
        let token = TOKEN
            .get_or_try_init(async || {
                let admin = sign_in(self.identity(), ADMIN_EMAIL).await?;
                let admin = admin.context("the first admin cannot sign in")?;
                anyhow::Ok(admin.token)
            })
            .await?;
        Ok(token.clone())
    }
}
