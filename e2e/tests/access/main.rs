//! docs/ACCESS.md, row by row: every call of every service by everyone, through the gateway, and what services ask each other
//! at their own ports.

mod callers;
mod table;
mod world;

use std::collections::BTreeMap;
use std::env;

use anyhow::{Context as _, ensure};
use e2e::events::concert;
use e2e::users::{fresh_email, register};
use e2e::{Api, Call, PASSWORD, Service, TicketType, guests, orders, vouchers};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::ids::new_id;
use serde_json::{Value, json};

use crate::callers::{CALLERS, Caller};
use crate::table::{Row, rows, undescribed};
use crate::world::{Thing, VOUCHER, World};

/// A debug build answers slowly, and other tests want to be answered too.
const AT_A_TIME: usize = 8;

/// Calls that end something of the caller's: another one of his kind makes them.
const LAST_CALLS: [&str; 3] = [
    "DELETE /v1/sessions/current",
    "DELETE /v1/users/me",
    "POST /v1/users/me/password",
];

/// What the call needs to succeed when it is made by who may.
async fn body(world: &World, call: &str, thing: Thing) -> anyhow::Result<Value> {
    let stack = &world.stack;
    Ok(match call {
        "POST /v1/users" => {
            json!({"email": fresh_email("access"), "password": PASSWORD, "name": "Access"})
        }
        "POST /v1/sessions" => {
            let email = fresh_email("access");
            register(stack.identity(), &email, "Access", "en").await?;
            json!({"email": email, "password": PASSWORD})
        }
        "POST /v1/sessions/refresh" => {
            json!({"refresh_token": stack.customer().await?.refresh_token})
        }
        "POST /v1/password-resets" => json!({"email": fresh_email("nobody")}),
        "POST /v1/password-resets/confirm" => {
            json!({"token": "nobody's", "new_password": "another passphrase"})
        }
        "POST /v1/email-changes/confirm" | "POST /v1/email-verifications/confirm" => {
            json!({"token": "nobody's"})
        }
        "PATCH /v1/users/me" | "PATCH /v1/users/{id}" => json!({"name": "Another"}),
        "POST /v1/users/me/password" => {
            json!({"current_password": PASSWORD, "new_password": "another passphrase"})
        }
        "POST /v1/users/me/email" => {
            json!({"current_password": PASSWORD, "new_email": fresh_email("access")})
        }
        "PUT /v1/users/{id}/roles" => json!({"roles": ["gate"]}),
        "POST /v1/support/cases" => json!({"subject": "Help", "message": "Please."}),
        "PATCH /v1/support/cases/{id}" => json!({"status": "closed"}),
        "POST /v1/support/cases/{id}/messages" => json!({"message": "Please."}),
        "POST /v1/events" | "PUT /v1/events/{id}" => concert("A concert", 30),
        "POST /v1/events/{id}/ticket-types" => TicketType::vip(5).body(),
        "PUT /v1/events/{id}/ticket-types/{ticket_type_id}" => TicketType::general(20).body(),
        "POST /v1/events/{id}/vouchers" => vouchers::half(&new_id().simple().to_string(), 5),
        "PUT /v1/events/{id}/vouchers/{code}" => vouchers::half(VOUCHER, 6),
        "POST /v1/events/{id}/attendees" => guests::body(&fresh_email("guest"), thing.part),
        "POST /v1/orders" => {
            orders::order_body(world.on_sale.id, &[(world.on_sale.ticket_types[0], 1)])
        }
        "POST /v1/orders/{id}/payment" => {
            json!({"method": {"type": "simulated", "card": orders::CARD_PAID}})
        }
        "POST /v1/tickets/{id}/attendance" => json!({"status": "confirmed"}),
        "POST /v1/service-tokens" => {
            json!({"service": "svc-catalog", "secret": env::var("SVC_CATALOG_SECRET")?})
        }
        // Of a version that the event has not by then.
        "PUT /internal/events/{id}/quantities" => {
            let quantity = json!({"ticket_type_id": thing.part, "quantity": 5});
            json!({"version": 1_000, "quantities": [quantity]})
        }
        "PUT /v1/tickets/{id}/attendee" => {
            json!({"name": "Ada Lovelace", "email": "ada@example.com"})
        }
        _ => Value::Null,
    })
}

async fn prepared(
    world: &World,
    api: &Api,
    row: &Row,
    thing: Thing,
    token: Option<&str>,
) -> anyhow::Result<Call> {
    let (method, path) = row.call.split_once(' ').context("method and path")?;
    let path = path
        .replace("{id}", &thing.id.to_string())
        .replace("{user_id}", &thing.id.to_string())
        .replace("{ticket_type_id}", &thing.part.to_string())
        .replace("{guest_id}", &thing.part.to_string())
        .replace("{order_id}", &thing.part.to_string())
        .replace("{code}", VOUCHER);
    let mut call = api.call(method.parse()?, path);
    call = call.if_match("*").idempotency_key(&new_id().to_string());
    let body = body(world, &row.call, thing).await?;
    if !body.is_null() {
        call = call.json(&body);
    }
    Ok(match token {
        Some(token) => call.token(token),
        None => call,
    })
}

/// What the caller of a column is answered. `shared` is for who is refused, which has no effect.
async fn answer(
    world: &World,
    api: &Api,
    row: &Row,
    column: usize,
    shared: Thing,
) -> anyhow::Result<u16> {
    let token = match CALLERS[column] {
        (_, Caller::Person(roles)) if LAST_CALLS.contains(&row.call.as_str()) => {
            Some(world.stack.user(roles).await?.token)
        }
        _ => world.tokens[column].clone(),
    };
    let thing = match row.statuses[column] {
        200..=299 => world.make(&row.about).await?,
        _ => shared,
    };
    let call = prepared(world, api, row, thing, token.as_deref());
    call.await?.status().await
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_is_answered_as_the_page_says() -> anyhow::Result<()> {
    let (world, rows) = (World::new().await?, rows()?);
    let mut shared = BTreeMap::new();
    for row in &rows {
        if !shared.contains_key(&row.about) {
            shared.insert(&row.about, world.make(&row.about).await?);
        }
    }
    // Not at the gateway, for anyone: what services ask each other is at their own ports.
    let ports: BTreeMap<String, Service> = undescribed()?
        .into_iter()
        .map(|(service, call)| (call, service))
        .collect();
    let (world, shared, ports) = (&world, &shared, &ports);
    let answers = rows.iter().map(|row| async move {
        let gateway = world.stack.gateway();
        let port = ports.get(&row.call);
        let api = port.map_or(gateway, |service| world.stack.service(*service));
        let mut statuses = [0; CALLERS.len()];
        for (column, status) in statuses.iter_mut().enumerate() {
            if port.is_some() {
                let token = world.tokens[column].as_deref();
                let call = prepared(world, gateway, row, shared[&row.about], token);
                let outside = call.await?.status().await?;
                ensure!(outside == 404, "the gateway answers {outside} to {row:?}");
            }
            let answered = answer(world, api, row, column, shared[&row.about]).await;
            let (who, _) = CALLERS[column];
            *status = answered.with_context(|| format!("{} by {who}", row.call))?;
        }
        anyhow::Ok((row, statuses))
    });
    let answers: Vec<(&Row, [u16; CALLERS.len()])> = stream::iter(answers)
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    let mut differ = Vec::new();
    for (row, answered) in answers {
        if answered != row.statuses {
            let shown = answered.map(|status| status.to_string()).join(" | ");
            differ.push(format!("| `{}` | {} | {shown} |", row.call, row.about));
        }
    }
    ensure!(
        differ.is_empty(),
        "docs/ACCESS.md says otherwise; they were answered\n{}",
        differ.join("\n")
    );
    Ok(())
}
