//! Owners of tickets name who will come.

use anyhow::ensure;
use e2e::api::Call;
use e2e::users::{fresh_email, id_of};
use e2e::{Role, TicketType, User};
use platform::ids::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Scene;

impl Scene {
    pub(crate) fn attendee(&self, by: &User, ticket: Uuid) -> Call {
        let checkout = self.stack.checkout();
        checkout
            .get(format!("/v1/tickets/{ticket}/attendee"))
            .by(by)
    }

    /// Without a version to start from.
    pub(crate) fn name(&self, by: &User, ticket: Uuid, who: &Value) -> Call {
        let checkout = self.stack.checkout();
        let call = checkout.put(format!("/v1/tickets/{ticket}/attendee"));
        call.by(by).json(who)
    }
}

fn ada() -> Value {
    json!({"name": "Ada Lovelace", "email": fresh_email("ada"), "phone": "+33612345678"})
}

#[tokio::test]
async fn an_owner_names_who_comes_and_then_somebody_else() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(2).await?;
    let (order, ticket) = (id_of(&paid)?, id_of(&paid["tickets"][0])?);
    let nobody = scene.attendee(&scene.buyer, ticket).send().await?;
    let first = nobody.etag()?;
    ensure!(nobody.expect(200)?.is_null());

    let ada = ada();
    let named = scene.name(&scene.buyer, ticket, &ada).if_match(&first);
    let named = named.send().await?;
    let second = named.etag()?;
    ensure!(named.expect(200)? == ada);
    ensure!(first != second);
    let read = scene.attendee(&scene.buyer, ticket).send().await?;
    ensure!(read.etag()? == second, "{read}");
    ensure!(read.expect(200)? == ada);
    let shown = scene.shown(order).await?;
    ensure!(shown["tickets"][0]["attendee"] == ada, "{shown}");
    ensure!(shown["tickets"][0]["attendance"] == "pending", "{shown}");
    ensure!(shown["tickets"][1]["attendee"].is_null(), "{shown}");
    let record = scene.published(ticket).await?;
    ensure!(record.version == 1, "{record:?}");
    ensure!(
        record.name.as_deref() == ada["name"].as_str()
            && record.email.as_deref() == ada["email"].as_str()
            && record.phone.as_deref() == ada["phone"].as_str(),
        "{record:?}"
    );

    // Whoever read it before that, or did not read it, changes nothing.
    let ida = json!({"name": "Ida", "email": fresh_email("ida")});
    let late = scene.name(&scene.buyer, ticket, &ida).if_match(&first);
    late.send().await?.expect_problem(412, "stale")?;
    let blind = scene.name(&scene.buyer, ticket, &ida).send().await?;
    blind.expect_problem(428, "if-match-required")?;
    ensure!(scene.published(ticket).await?.version == 1);

    // Another word about the attendance leaves the name, and the other way round.
    let confirmed = scene.say(&scene.buyer, ticket, "confirmed").send().await?;
    ensure!(confirmed.expect(200)?["attendee"] == ada);
    let other = scene.name(&scene.buyer, ticket, &ida).if_match(&second);
    other.send().await?.expect_problem(412, "stale")?;
    let now = scene.attendee(&scene.buyer, ticket).send().await?.etag()?;
    let other = scene.name(&scene.buyer, ticket, &ida).if_match(&now);
    let other = other.send().await?.expect(200)?;
    ensure!(
        other["name"] == "Ida" && other["phone"].is_null(),
        "{other}"
    );
    let listed = scene.stack.checkout().get("/v1/tickets").by(&scene.buyer);
    let listed = listed.send().await?.expect(200)?;
    let mut items = listed["items"].as_array().into_iter().flatten();
    let item = items.find(|item| item["id"] == ticket.to_string());
    ensure!(
        item.is_some_and(|item| item["attendee"] == other && item["attendance"] == "confirmed"),
        "{listed}"
    );
    let record = scene.published(ticket).await?;
    ensure!(record.version == 3 && record.phone.is_none(), "{record:?}");
    Ok(())
}

#[tokio::test]
async fn of_many_who_read_the_same_one_names_somebody() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(1).await?;
    let ticket = id_of(&paid["tickets"][0])?;
    let etag = scene.attendee(&scene.buyer, ticket).send().await?.etag()?;
    let names = (0..8).map(|_| {
        let call = scene.name(&scene.buyer, ticket, &ada());
        call.if_match(&etag).send()
    });
    let mut named = Vec::new();
    for answer in futures::future::try_join_all(names).await? {
        match answer.status {
            200 => named.push(answer.body),
            _ => drop(answer.expect_problem(412, "stale")?),
        }
    }
    ensure!(named.len() == 1, "{named:?}");
    let read = scene.attendee(&scene.buyer, ticket).send().await?;
    ensure!(read.expect(200)? == named[0]);
    Ok(())
}

#[tokio::test]
async fn only_the_owner_names_somebody_who_can_be_and_only_with_a_good_ticket() -> anyhow::Result<()>
{
    let scene = Scene::that_takes_seats_back(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(1).await?;
    let ticket = id_of(&paid["tickets"][0])?;
    let support = scene.stack.user(&[Role::Support]).await?;
    for (by, ticket) in [
        (&scene.organizer, ticket),
        (&support, ticket),
        (&scene.buyer, new_id()),
    ] {
        let read = scene.attendee(by, ticket).send().await?;
        read.expect_problem(404, "not-found")?;
        let named = scene.name(by, ticket, &ada()).if_match("*").send().await?;
        named.expect_problem(404, "not-found")?;
    }
    let wrong = json!({"name": " ", "email": "nobody", "phone": "1"});
    for (pointers, body) in [
        (&["/name", "/email", "/phone"][..], wrong),
        (&["/email"], json!({"name": "Ada"})),
        (
            &["/seat"],
            json!({"name": "Ada", "email": "ada@example.com", "seat": 1}),
        ),
    ] {
        let named = scene.name(&scene.buyer, ticket, &body).if_match("*");
        let problem = named.send().await?.expect_problem(422, "invalid")?;
        let errors = problem["errors"].as_array().into_iter().flatten();
        let found: Vec<_> = errors
            .filter_map(|error| error["pointer"].as_str())
            .collect();
        ensure!(found == pointers, "{problem}");
    }
    let given_back = scene.say(&scene.buyer, ticket, "cancelled").send().await?;
    ensure!(given_back.expect(200)?["status"] == "revoked");
    let late = scene.name(&scene.buyer, ticket, &ada()).if_match("*");
    late.send().await?.expect_problem(409, "revoked")?;
    ensure!(scene.published(ticket).await?.name.is_none());
    Ok(())
}
