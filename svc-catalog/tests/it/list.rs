//! The list of published events: its order, its pages, its filters.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::events::publish;
use e2e::{Role, Stack, TicketType, User};
use platform::clock::Timestamp;
use platform::ids::new_id;
use serde_json::{Value, json};

use crate::{draft, event_body};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A city that no other test's events are in.
fn fresh_city() -> String {
    format!("Ville-{}", new_id().simple())
}

/// Publishes a concert in `city` that begins `in_days` from now, and returns its id.
async fn concert_in(stack: &Stack, by: &User, city: &str, in_days: u32) -> anyhow::Result<String> {
    let mut body = event_body();
    body["venue"]["city"] = json!(city);
    let starts_at = Timestamp::now() + DAY * in_days;
    body["starts_at"] = json!(starts_at);
    body["ends_at"] = json!(starts_at + Duration::from_secs(3_600));
    let event = publish(stack.catalog(), by, &body, &[TicketType::general(5)]).await?;
    Ok(event.id.to_string())
}

/// All pages of the list with this query, which may end with a cursor, and the ids on them.
async fn pages(stack: &Stack, query: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let (filter, first) = query.split_once("&cursor=").unwrap_or((query, ""));
    let (mut pages, mut cursor) = (Vec::new(), first.to_owned());
    loop {
        let path = format!("/v1/events?{filter}&cursor={cursor}");
        let page = stack.catalog().get(path).send().await?.expect(200)?;
        pages.push(ids(&page)?);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(pages),
        }
    }
}

fn ids(page: &Value) -> anyhow::Result<Vec<String>> {
    let items = page["items"].as_array().context("items")?;
    items
        .iter()
        .map(|item| Ok(item["id"].as_str().context("an id")?.to_owned()))
        .collect()
}

#[tokio::test]
async fn soonest_comes_first_over_months_and_pages() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let city = fresh_city();
    let mut expected = Vec::new();
    // Not in the order of their beginning.
    for in_days in [95, 5, 400, 40, 6] {
        expected.push((
            in_days,
            concert_in(&stack, &organizer, &city, in_days).await?,
        ));
    }
    expected.sort();
    let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
    for limit in [1, 2, 4, 5, 200] {
        let pages = pages(&stack, &format!("city={city}&limit={limit}")).await?;
        ensure!(
            pages.iter().all(|page| page.len() <= limit),
            "{pages:?} of {limit}"
        );
        ensure!(pages.concat() == expected, "{pages:?} of {limit}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_keeps_its_place() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let city = fresh_city();
    let second = concert_in(&stack, &organizer, &city, 20).await?;
    let fourth = concert_in(&stack, &organizer, &city, 40).await?;
    // Of another city, so that the list passes over it on its way to the fourth.
    concert_in(&stack, &organizer, &fresh_city(), 35).await?;
    let first_page = stack
        .catalog()
        .get(format!("/v1/events?city={city}&limit=1"));
    let first_page = first_page.send().await?.expect(200)?;
    ensure!(ids(&first_page)? == [second], "{first_page}");

    // One before the place and one behind it: the next page has the latter, and nothing twice.
    concert_in(&stack, &organizer, &city, 10).await?;
    let third = concert_in(&stack, &organizer, &city, 30).await?;
    let cursor = first_page["next_cursor"].as_str().context("a next page")?;
    let rest = stack
        .catalog()
        .get(format!("/v1/events?city={city}&cursor={cursor}"));
    let rest = rest.send().await?.expect(200)?;
    ensure!(
        ids(&rest)? == [third, fourth] && rest["next_cursor"].is_null(),
        "{rest}"
    );
    Ok(())
}

/// Moves a published concert to a day so many days from now.
async fn move_to(stack: &Stack, by: &User, id: &str, in_days: u32) -> anyhow::Result<()> {
    let path = format!("/v1/events/{id}");
    let seen = stack.catalog().get(&path).by(by).send().await?;
    let (etag, mut body) = (seen.etag()?, seen.expect(200)?);
    let fields = body.as_object_mut().context("an event")?;
    for own in ["id", "status", "organizer_id", "ticket_types", "version"] {
        fields.remove(own);
    }
    let starts_at = Timestamp::now() + DAY * in_days;
    body["starts_at"] = json!(starts_at);
    body["ends_at"] = json!(starts_at + Duration::from_secs(3_600));
    let change = stack.catalog().put(path).by(by).if_match(&etag).json(&body);
    change.send().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn events_that_move_are_where_they_are_now() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let city = fresh_city();
    let mut concerts = Vec::new();
    for in_days in [10, 20, 30, 40] {
        concerts.push(concert_in(&stack, &organizer, &city, in_days).await?);
    }
    let [first, second, third, fourth] = &concerts[..] else {
        anyhow::bail!("four concerts");
    };
    let page = stack
        .catalog()
        .get(format!("/v1/events?city={city}&limit=2"));
    let page = page.send().await?.expect(200)?;
    ensure!(ids(&page)? == [first.as_str(), second], "{page}");

    // One from behind the cursor to before it, one the other way.
    move_to(&stack, &organizer, third, 5).await?;
    move_to(&stack, &organizer, first, 50).await?;
    let cursor = page["next_cursor"].as_str().context("a next page")?;
    let rest = pages(&stack, &format!("city={city}&limit=1&cursor={cursor}")).await?;
    ensure!(rest.concat() == [fourth.as_str(), first], "{rest:?}");
    let all = pages(&stack, &format!("city={city}&limit=3")).await?;
    ensure!(
        all.concat() == [third.as_str(), second, fourth, first],
        "{all:?}"
    );
    Ok(())
}

#[tokio::test]
async fn events_that_begin_together_are_all_listed() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let mut body = event_body();
    body["venue"]["city"] = json!(fresh_city());
    let mut expected = Vec::new();
    for _ in 0..3 {
        let event = publish(stack.catalog(), &organizer, &body, &[TicketType::vip(1)]).await?;
        expected.push(event.id.to_string());
    }
    let city = body["venue"]["city"].as_str().context("a city")?;
    let mut found = pages(&stack, &format!("city={city}&limit=1"))
        .await?
        .concat();
    found.sort();
    expected.sort();
    ensure!(found == expected, "{found:?}");
    Ok(())
}

#[tokio::test]
async fn the_list_shows_an_event_as_it_is() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let city = fresh_city();
    let id = concert_in(&stack, &organizer, &city, 30).await?;
    // A change of a published event reaches the list before it is answered.
    let path = format!("/v1/events/{id}");
    let add = stack
        .catalog()
        .post(format!("{path}/ticket-types"))
        .by(&organizer);
    add.json(&TicketType::vip(2).at_most(1).body())
        .send()
        .await?
        .expect(201)?;
    let event = stack.catalog().get(path).send().await?.expect(200)?;
    let listed = stack
        .catalog()
        .get(format!("/v1/events?city={city}"))
        .send()
        .await?
        .expect(200)?;
    ensure!(listed["items"] == json!([event]), "{listed}");
    Ok(())
}

#[tokio::test]
async fn filters_leave_out_the_others() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let city = fresh_city();
    let mut body = event_body();
    body["venue"]["city"] = json!(city);
    // Of the same city and not published.
    draft(&stack, &organizer, &body).await?;
    let word = format!("Xylophone{}", new_id().simple());
    body["type"] = json!("Workshop");
    body["description"] = json!(format!("Bring your own {word}."));
    let workshop = publish(stack.catalog(), &organizer, &body, &[TicketType::vip(1)]).await?;
    let workshop = workshop.id.to_string();
    let concert = concert_in(&stack, &organizer, &city, 60).await?;

    let starts_at = body["starts_at"].as_str().context("a start")?;
    let both = vec![workshop.clone(), concert.clone()];
    for (query, expected) in [
        (format!("city={}", city.to_uppercase()), both.clone()),
        (format!("city={city}&type=workshop"), vec![workshop.clone()]),
        (format!("city={city}&type=opera"), vec![]),
        (format!("q={}", word.to_lowercase()), vec![workshop.clone()]),
        (
            format!("q={word}+{city}&type=workshop"),
            vec![workshop.clone()],
        ),
        (format!("city={city}&q={word}+absent"), vec![]),
        (format!("city={city}&from={starts_at}"), both),
        (format!("city={city}&to={starts_at}"), vec![]),
        (
            format!("city={city}&from={starts_at}&to=2999-01-01T00:00:00Z&type=concert"),
            vec![concert],
        ),
    ] {
        let found = pages(&stack, &query).await?.concat();
        ensure!(found == expected, "{query} gave {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn neither_case_nor_accents_count() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let own = new_id().simple().to_string();
    let mut body = event_body();
    body["name"] = json!(format!("Fête de l'Œuvre {own}"));
    body["type"] = json!("Théâtre");
    body["description"] = json!("Chansons d’ÉTÉ");
    body["venue"] =
        json!({"name": "Łódź-Straße", "city": format!("Saint-Étienne {own}"), "address": "1 quai"});
    let event = publish(stack.catalog(), &organizer, &body, &[TicketType::vip(1)]).await?;
    let found = vec![event.id.to_string()];
    let half = &own[..20];
    for (query, expected) in [
        (format!("q=fete+oeuvre+{own}"), &found),
        (format!("q=FE%CC%82TE+{}", own.to_uppercase()), &found),
        // The beginnings of words, in any field.
        (format!("q=lod+strasse+ete+theat+{half}"), &found),
        (format!("q=oeuvres+{own}"), &vec![]),
        (format!("q=etienne+{own}&type=THEATRE"), &found),
        (format!("city=SAINT+ETIENNE+{own}&type=theatre"), &found),
        (format!("city=SAINT+ETIENNE+{half}"), &vec![]),
        // An address is no word to look for.
        (format!("q=quai+{own}"), &vec![]),
    ] {
        let listed = pages(&stack, &query).await?.concat();
        ensure!(listed == *expected, "{query} gave {listed:?}");
    }
    Ok(())
}
