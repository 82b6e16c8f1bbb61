//! Buys one ticket and tells every step, on the surface and behind it: the calls, the records, the mail.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use e2e::{Answer, Api, Reader, SeenRecord, Stack, User, eventually, orders, users};
use platform::clock::Timestamp;
use schemas::Record;
use schemas::checkout::{OrderReserved, PaymentConfirmed, StockLevel, TicketTypeStock};
use schemas::topics;
use serde_json::Value;
use uuid::Uuid;

const BUYER: &str = "alice@example.com";
/// A record that was promised by an answer is already there; the rest is reading it.
const RECORD_DEADLINE: Duration = Duration::from_secs(10);
/// The mail passes a topic, the mailer and a mail server.
const MAIL_DEADLINE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    match buy().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("buy-one-ticket: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn buy() -> anyhow::Result<()> {
    let stack = Stack::try_from_env()?;
    let api = stack.gateway();
    let buyer = sign_in(api).await?;
    let choice = choose(api).await?;
    let mut topics = Topics::open(&stack)?;

    let order = order(api, &buyer, &choice).await?;
    let (seen, _) = record::<OrderReserved>(&mut topics.orders, order.id, |_| true).await?;
    told(&seen);
    let (seen, stock) = record::<StockLevel>(&mut topics.stock, choice.event, |_| true).await?;
    told(&seen);
    let held = choice.line_in(&stock)?;
    tell_stock(held);

    pay(api, &buyer, &order).await?;
    let (seen, payment) =
        record::<PaymentConfirmed>(&mut topics.payments, order.id, |_| true).await?;
    told(&seen);
    println!(
        "            {} {}, {} ticket",
        payment.total.amount,
        payment.total.currency,
        payment.tickets.len()
    );
    // Other buyers change the stock as well: the record that counts this ticket is one with more sold.
    let more_sold = |stock: &StockLevel| {
        choice
            .line_in(stock)
            .is_ok_and(|line| line.sold > held.sold)
    };
    let (seen, stock) = record::<StockLevel>(&mut topics.stock, choice.event, more_sold).await?;
    told(&seen);
    tell_stock(choice.line_in(&stock)?);

    mail(&stack, &order).await?;
    notification(api, &buyer, &order).await
}

struct Topics {
    orders: Reader,
    payments: Reader,
    stock: Reader,
}

impl Topics {
    /// Before the order is placed, so that none of its records is missed.
    fn open(stack: &Stack) -> anyhow::Result<Self> {
        Ok(Self {
            orders: stack.records_from_now(topics::CHECKOUT_ORDERS.name)?,
            payments: stack.records_from_now(topics::CHECKOUT_PAYMENTS.name)?,
            stock: stack.records_from_now(topics::CHECKOUT_STOCK.name)?,
        })
    }
}

struct Choice {
    event: Uuid,
    ticket_type: Uuid,
}

impl Choice {
    fn line_in<'a>(&self, stock: &'a StockLevel) -> anyhow::Result<&'a TicketTypeStock> {
        let mut lines = stock.ticket_types.iter();
        lines
            .find(|line| line.ticket_type_id == self.ticket_type)
            .context("the stock record lacks the ticket type")
    }
}

struct Order {
    id: Uuid,
    number: String,
}

async fn sign_in(api: &Api) -> anyhow::Result<User> {
    let user = users::sign_in(api, BUYER).await.context("sign in")?;
    let user = user.with_context(|| format!("{BUYER} cannot sign in: run `make run` first"))?;
    println!("Sign in     {} as {BUYER}", user.name);
    Ok(user)
}

/// A ticket of the first event that has one left to pay for now, without a limit per buyer: so this program can be run for
/// ever, whatever else somebody has put on sale.
async fn choose(api: &Api) -> anyhow::Result<Choice> {
    let page = api
        .get("/v1/events")
        .send()
        .await?
        .expect(200)
        .context("list events")?;
    for event in list(&page["items"]) {
        let id = users::id_of(event)?;
        let path = format!("/v1/events/{id}/availability");
        let availability = api
            .get(path)
            .send()
            .await?
            .expect(200)
            .context("ask what is left")?;
        let is_for_us = |id: &Value| {
            let mut known = list(&event["ticket_types"]).filter(|known| &known["id"] == id);
            known.any(|known| {
                known["max_per_buyer"].is_null()
                    && known["price"]["amount"].as_i64() > Some(0)
                    && is_on_sale(known, event)
            })
        };
        let Some(left) = list(&availability["ticket_types"])
            .find(|left| left["available"].as_i64() > Some(0) && is_for_us(&left["id"]))
        else {
            continue;
        };
        let city = text(&event["venue"], "city");
        println!(
            "Event       {}, {city}, {}",
            text(event, "name"),
            text(event, "starts_at")
        );
        println!("Available   {} of {}", left["available"], left["quantity"]);
        return Ok(Choice {
            event: id,
            ticket_type: users::id_of(left)?,
        });
    }
    bail!("no event has a ticket left: put one on sale, or `make clean` and `make run`")
}

/// Whether its sale has begun and not ended.
fn is_on_sale(ticket_type: &Value, event: &Value) -> bool {
    let now = Timestamp::now();
    let time = |text: &Value| {
        text.as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
    };
    let begun = time(&ticket_type["sale_starts_at"]).is_none_or(|starts| starts <= now);
    let ends = time(&ticket_type["sale_ends_at"]).or_else(|| time(&event["ends_at"]));
    begun && ends.is_some_and(|ends| ends > now)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

async fn order(api: &Api, buyer: &User, choice: &Choice) -> anyhow::Result<Order> {
    let lines = [(choice.ticket_type, 1)];
    let answer = orders::place(api, buyer, choice.event, &lines)
        .send()
        .await
        .context("order")?;
    let body = expect(answer, 201, "the order was refused")?;
    let order = Order {
        id: users::id_of(&body)?,
        number: text(&body, "number").to_owned(),
    };
    println!(
        "Order       201, {} is held until {}",
        order.number,
        text(&body, "expires_at")
    );
    Ok(order)
}

async fn pay(api: &Api, buyer: &User, order: &Order) -> anyhow::Result<()> {
    let answer = orders::pay(api, buyer, order.id, orders::CARD_PAID)
        .send()
        .await
        .context("pay")?;
    let body = expect(answer, 200, "the payment failed")?;
    println!(
        "Payment     200, {} is {}",
        order.number,
        text(&body, "status")
    );
    let tickets = body["tickets"]
        .as_array()
        .filter(|tickets| !tickets.is_empty());
    for ticket in tickets.context("the paid order has no tickets")? {
        println!(
            "Ticket      number {}, {}",
            ticket["number"],
            text(ticket, "kind")
        );
    }
    Ok(())
}

async fn mail(stack: &Stack, order: &Order) -> anyhow::Result<()> {
    let mailbox = stack.mailbox();
    let mail = mailbox
        .wait_for(BUYER, MAIL_DEADLINE, |mail| mail.says(&order.number))
        .await
        .with_context(|| format!("no mail speaks of {}", order.number))?;
    println!("Mail        \"{}\" to {}", mail.subject, mail.recipient());
    println!("            {}", mailbox.page_of(&mail));
    Ok(())
}

async fn notification(api: &Api, buyer: &User, order: &Order) -> anyhow::Result<()> {
    let path = format!("/v1/notifications?order_id={}", order.id);
    let sent = eventually(
        MAIL_DEADLINE,
        "the mail to be in the history as sent",
        async || {
            let page = api.get(&path).by(buyer).send().await?.expect(200)?;
            Ok(list(&page["items"])
                .find(|item| item["status"] == "sent")
                .cloned())
        },
    )
    .await?;
    println!(
        "History     {} {} at {}, {} attempt(s)",
        text(&sent, "template"),
        text(&sent, "status"),
        text(&sent, "sent_at"),
        sent["attempts"]
    );
    Ok(())
}

/// The next `R` with this key that fits.
async fn record<R: Record>(
    reader: &mut Reader,
    key: Uuid,
    fits: impl Fn(&R) -> bool,
) -> anyhow::Result<(SeenRecord, R)> {
    loop {
        let (seen, record) = reader.wait_for_key::<R>(key, RECORD_DEADLINE).await?;
        if fits(&record) {
            return Ok((seen, record));
        }
    }
}

fn told(seen: &SeenRecord) {
    println!("Record      {seen}");
}

fn tell_stock(line: &TicketTypeStock) {
    println!(
        "            of {}: {} held, {} sold, {} free",
        line.quantity, line.held, line.sold, line.free
    );
}

/// The answer's body, or its refusal in the API's own words.
fn expect(answer: Answer, status: u16, failed: &str) -> anyhow::Result<Value> {
    if answer.status != status {
        let (code, detail) = (text(&answer.body, "code"), text(&answer.body, "detail"));
        bail!("{failed}: {} {code} {detail}", answer.status);
    }
    Ok(answer.body)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
