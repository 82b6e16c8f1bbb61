//! What support sees of a customer, with svc-checkout there, away and frozen.

use std::time::Duration;

use anyhow::Context as _;
use e2e::users::id_of;
use e2e::{Role, Stack, TicketType, User, orders};
use platform::ids::new_id;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;
use uuid::Uuid;

use crate::audit::entries;
use crate::case_limits::NOWHERE;
use crate::me;
use crate::own::Own;

fn path(customer: &User) -> String {
    format!("/v1/support/customers/{}", customer.id)
}

/// A customer with two orders, newest first.
async fn buyer(stack: &Stack) -> anyhow::Result<(User, [Uuid; 2])> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(10)];
    let event = stack.published_event(&organizer, &types).await?;
    let customer = stack.customer().await?;
    let lines = [(event.ticket_types[0], 1)];
    let order = async || {
        let order = orders::place(stack.checkout(), &customer, event.id, &lines);
        id_of(&order.send().await?.expect(201)?)
    };
    let (older, newer) = (order().await?, order().await?);
    let paid = orders::pay(stack.checkout(), &customer, older, orders::CARD_PAID);
    paid.send().await?.expect(200)?;
    Ok((customer, [newer, older]))
}

#[tokio::test]
async fn support_sees_the_profile_and_the_orders_of_this_moment() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (customer, orders) = buyer(&stack).await?;
    let support = stack.user(&[Role::Support]).await?;
    let look = |query: &str| {
        let call = stack.identity().get(format!("{}{query}", path(&customer)));
        call.by(&support)
    };
    let request_id = format!("look-{}", new_id());
    let shown = look("").request_id(&request_id).send().await?.expect(200)?;
    assert_eq!(shown["profile"], me(&stack, &customer).await?.expect(200)?);
    assert_eq!(shown["partial"], false);
    let own = stack.checkout().get("/v1/orders").by(&customer);
    let own = own.send().await?.expect(200)?;
    assert_eq!(
        (&shown["orders"], &shown["next_cursor"]),
        (&own["items"], &Value::Null)
    );
    assert_eq!(id_of(&shown["orders"][0])?, orders[0]);
    let entry = entries(&stack, std::slice::from_ref(&request_id)).await?;
    let entry = entry.get(&request_id).context("the look")?;
    assert_eq!(
        (&entry["action"], &entry["actor_id"], &entry["user_id"]),
        (
            &json!("customer-seen"),
            &json!(support.id),
            &json!(customer.id)
        )
    );

    let first = look("?limit=1").send().await?.expect(200)?;
    let cursor = first["next_cursor"].as_str().context("a next page")?;
    let second = look(&format!("?limit=1&cursor={cursor}")).send().await?;
    let second = second.expect(200)?;
    assert_eq!(id_of(&first["orders"][0])?, orders[0]);
    assert_eq!(id_of(&second["orders"][0])?, orders[1]);
    let wrong = look("?cursor=nonsense").send().await?;
    wrong.expect_problem(422, "invalid")?;
    let nobody = format!("/v1/support/customers/{}", new_id());
    let nobody = stack.identity().get(nobody).by(&support).send().await?;
    nobody.expect_problem(404, "not-found")?;
    Ok(())
}

#[tokio::test]
async fn without_svc_checkout_the_profile_comes_and_says_that_it_is_partial() -> anyhow::Result<()>
{
    const DEADLINE: Duration = Duration::from_millis(500);
    let stack = Stack::from_env();
    let (customer, support) = (stack.customer().await?, stack.user(&[Role::Support]).await?);
    // Frozen: the kernel takes the connection, and nobody answers.
    let frozen = TcpListener::bind("127.0.0.1:0").await?;
    let frozen = format!("http://{}", frozen.local_addr()?);
    let deadline = format!("{}ms", DEADLINE.as_millis());
    for url in [NOWHERE, &frozen] {
        let own = Own::start(&[
            ("CHECKOUT_URL", url),
            ("IDENTITY_NEIGHBOUR_DEADLINE", &deadline),
        ])
        .await?;
        let request_id = format!("look-{}", new_id());
        let look = own.api.get(path(&customer)).by(&support);
        let asked = Instant::now();
        let shown = look.request_id(&request_id).send().await?.expect(200)?;
        assert!(asked.elapsed() < DEADLINE * 10, "{:?}", asked.elapsed());
        assert_eq!(shown["partial"], true);
        assert_eq!(shown["profile"]["email"], customer.email);
        assert_eq!(
            (&shown["orders"], &shown["next_cursor"]),
            (&json!([]), &Value::Null)
        );
        let entry = entries(&stack, std::slice::from_ref(&request_id)).await?;
        let entry = entry.get(&request_id).context("the look")?;
        assert_eq!(entry["action"], "customer-seen");
    }
    Ok(())
}

#[tokio::test]
async fn every_look_of_support_is_in_the_trail() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, customer) = (stack.identity(), stack.customer().await?);
    let support = stack.user(&[Role::Support]).await?;
    let case = crate::cases::open(api, &customer, "Help", "Please.").await?;
    let case = format!("/v1/support/cases/{}", id_of(&case)?);
    let of_customer = format!("/v1/support/cases?user_id={}", customer.id);
    let answer = json!({"message": "Here."});
    let close = json!({"status": "closed"});
    let calls = [
        (api.get(&case), "case-seen"),
        (api.get(of_customer), "cases-listed"),
        (
            api.post(format!("{case}/messages")).json(&answer),
            "case-written",
        ),
        (api.patch(&case).json(&close), "case-changed"),
    ];
    let mut expected = Vec::new();
    for (call, action) in calls {
        let id = format!("look-{}", new_id());
        let answer = call.by(&support).request_id(&id).send().await?;
        anyhow::ensure!(answer.status < 300, "{answer}");
        expected.push((id, action));
    }
    let ids: Vec<String> = expected.iter().map(|(id, _)| id.clone()).collect();
    let found = entries(&stack, &ids).await?;
    for (id, action) in expected {
        let entry = found.get(&id).with_context(|| action.to_owned())?;
        assert_eq!(
            (&entry["action"], &entry["outcome"]),
            (&json!(action), &json!("done"))
        );
        assert_eq!(
            (&entry["actor_id"], &entry["user_id"]),
            (&json!(support.id), &json!(customer.id))
        );
    }
    // Who looks at his own leaves nothing.
    let id = format!("look-{}", new_id());
    let own = api.get(&case).by(&customer).request_id(&id);
    own.send().await?.expect(200)?;
    assert!(entries(&stack, &[id]).await?.is_empty());
    Ok(())
}
