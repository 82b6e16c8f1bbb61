//! Puts people and events into a fresh stack, so that it can be looked at. Run again, it finds them and says so.

use std::process::ExitCode;

use anyhow::Context as _;
use e2e::{Api, Role, Stack, TicketType, User, events, users};
use serde_json::{Value, json};

struct Person {
    email: &'static str,
    name: &'static str,
    locale: &'static str,
    roles: &'static [Role],
}

const fn person(
    email: &'static str,
    name: &'static str,
    locale: &'static str,
    roles: &'static [Role],
) -> Person {
    Person {
        email,
        name,
        locale,
        roles,
    }
}

/// The admin is not among them: svc-identity makes the first one itself.
const PEOPLE: [Person; 5] = [
    person(
        "organizer@example.com",
        "Olivia Organizer",
        "en",
        &[Role::Organizer],
    ),
    person("gate@example.com", "Gaston Gate", "en", &[Role::Gate]),
    person(
        "support@example.com",
        "Sofia Support",
        "es",
        &[Role::Support],
    ),
    person("alice@example.com", "Alice Martin", "en", &[]),
    person("bruno@example.com", "Bruno Lefèvre", "fr", &[]),
];

const ORGANIZER: &str = "organizer@example.com";

#[tokio::main]
async fn main() -> ExitCode {
    match seed().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn seed() -> anyhow::Result<()> {
    let stack = Stack::try_from_env()?;
    let api = stack.gateway();
    let admin = users::sign_in(api, users::ADMIN_EMAIL)
        .await?
        .with_context(|| {
            format!(
                "{} cannot sign in with the seed password",
                users::ADMIN_EMAIL
            )
        })?;
    println!("user   {:<24}was there", users::ADMIN_EMAIL);
    for person in &PEOPLE {
        let made = seed_person(api, &admin, person).await?;
        println!("user   {:<24}{}", person.email, told(made));
    }
    let organizer = users::sign_in(api, ORGANIZER)
        .await?
        .context("the organizer cannot sign in")?;
    for (event, ticket_types) in programme() {
        let made = seed_event(api, &organizer, &event, &ticket_types).await?;
        println!(
            "event  {:<24}{}",
            event["name"].as_str().unwrap_or_default(),
            told(made)
        );
    }
    Ok(())
}

fn told(made: bool) -> &'static str {
    if made { "made" } else { "was there" }
}

/// Whether something had to be done.
async fn seed_person(api: &Api, admin: &User, person: &Person) -> anyhow::Result<bool> {
    let (id, made) = match users::sign_in(api, person.email).await? {
        Some(user) => (user.id, false),
        None => {
            let user = users::register(api, person.email, person.name, person.locale)
                .await
                .context("an earlier run may have left the user with another password")?;
            (users::id_of(&user)?, true)
        }
    };
    // Looked at also for one who was there: the run that made him may have ended before it gave him his roles.
    let user = api
        .get(format!("/v1/users/{id}"))
        .by(admin)
        .send()
        .await?
        .expect(200)?;
    let has = |role: &Role| {
        user["roles"]
            .as_array()
            .is_some_and(|roles| roles.iter().any(|has| has == role.as_str()))
    };
    if person.roles.iter().all(has) {
        return Ok(made);
    }
    users::set_roles(api, &admin.token, id, person.roles).await?;
    Ok(true)
}

/// Whether it had to be made.
async fn seed_event(
    api: &Api,
    organizer: &User,
    event: &Value,
    ticket_types: &[TicketType],
) -> anyhow::Result<bool> {
    let name = &event["name"];
    let mut query = "/v1/events?limit=200".to_owned();
    loop {
        let page = api.get(&query).send().await?.expect(200)?;
        let items = page["items"].as_array().context("a page without items")?;
        if items.iter().any(|listed| &listed["name"] == name) {
            return Ok(false);
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("/v1/events?limit=200&cursor={cursor}"),
            None => break,
        }
    }
    events::publish(api, organizer, event, ticket_types).await?;
    Ok(true)
}

fn programme() -> [(Value, [TicketType; 2]); 3] {
    let mut jazz = events::concert("Blue Hour Quartet", 21);
    jazz["description"] =
        json!("Four friends, one microphone, and the songs they play after closing time.");
    jazz["venue"] =
        json!({"name": "New Morning", "city": "Paris", "address": "7 rue des Petites Écuries"});
    let rock = events::concert("The Paper Lanterns", 45);
    let mut play = events::concert("La vida es sueño", 60);
    play["type"] = json!("theatre");
    play["description"] = json!("Calderón's prince wakes in a palace and does not trust his eyes.");
    play["venue"] = json!({"name": "Teatro de la Comedia", "city": "Madrid", "address": "Calle del Príncipe 14"});
    play["time_zone"] = json!("Europe/Madrid");
    [
        (
            jazz,
            [TicketType::general(300), TicketType::vip(20).at_most(4)],
        ),
        (
            rock,
            [
                TicketType::general(8_000).at(3_900),
                TicketType::vip(200).at(12_000).at_most(4),
            ],
        ),
        (
            play,
            [
                TicketType::general(450).at(1_800),
                TicketType::vip(40).at(5_500).at_most(4),
            ],
        ),
    ]
}
