//! Who sees and who changes what.

use anyhow::ensure;
use e2e::users::id_of;
use e2e::{Role, Stack, TicketType};

use crate::{add_ticket_type, draft, event_body};

#[tokio::test]
async fn a_draft_is_its_owners_alone() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.catalog();
    let owner = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &owner, &event_body()).await?;
    add_ticket_type(&stack, &owner, id, &TicketType::general(5)).await?;

    let path = format!("/v1/events/{id}");
    let strangers = [
        stack.user(&[Role::Organizer]).await?,
        stack.user(&[Role::Support]).await?,
    ];
    for path in [
        path.clone(),
        format!("{path}/ticket-types"),
        format!("{path}/availability"),
    ] {
        api.get(&path)
            .send()
            .await?
            .expect_problem(404, "not-found")?;
        for stranger in &strangers {
            api.get(&path)
                .by(stranger)
                .send()
                .await?
                .expect_problem(404, "not-found")?;
        }
        api.get(&path).by(&owner).send().await?.expect(200)?;
        api.get(&path)
            .token(&stack.admin_token().await?)
            .send()
            .await?
            .expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_foreign_event_cannot_be_changed() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.catalog();
    let owner = stack.user(&[Role::Organizer]).await?;
    let published = stack
        .published_event(&owner, &[TicketType::general(5)])
        .await?;
    let hidden = draft(&stack, &owner, &event_body()).await?;
    let (stranger, customer) = (
        stack.user(&[Role::Organizer]).await?,
        stack.customer().await?,
    );
    for id in [published.id, hidden] {
        let path = format!("/v1/events/{id}");
        let general = id_of(&add_ticket_type(&stack, &owner, id, &TicketType::general(5)).await?)?;
        let before = api.get(&path).by(&owner).send().await?.expect(200)?;
        let type_path = format!("{path}/ticket-types/{general}");
        for call in [
            api.put(&path).if_match("*").json(&event_body()),
            api.delete(&path),
            api.post(format!("{path}/publish")),
            api.post(format!("{path}/cancel")),
            api.post(format!("{path}/archive")),
            api.post(format!("{path}/ticket-types"))
                .json(&TicketType::vip(1).body()),
            api.put(&type_path)
                .if_match("*")
                .json(&TicketType::vip(1).body()),
            api.delete(&type_path),
        ] {
            // What one sees but does not own, and what one cannot see: both are not there to be changed.
            call.clone()
                .by(&stranger)
                .send()
                .await?
                .expect_problem(404, "not-found")?;
            call.by(&customer)
                .send()
                .await?
                .expect_problem(403, "forbidden")?;
        }
        let after = api.get(&path).by(&owner).send().await?.expect(200)?;
        ensure!(before == after, "{before} became {after}");
    }
    Ok(())
}

#[tokio::test]
async fn an_admin_helps_every_organizer() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let owner = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &owner, &event_body()).await?;
    let admin = stack.admin_token().await?;
    let path = format!("/v1/events/{id}");
    let add = stack.catalog().post(format!("{path}/ticket-types"));
    add.token(&admin)
        .json(&TicketType::general(5).body())
        .send()
        .await?
        .expect(201)?;
    let publish = stack
        .catalog()
        .post(format!("{path}/publish"))
        .token(&admin);
    let event = publish.send().await?.expect(200)?;
    ensure!(event["organizer_id"] == owner.id.to_string(), "{event}");
    Ok(())
}
