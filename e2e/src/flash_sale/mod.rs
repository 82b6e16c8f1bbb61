//! The worst night of the year, in small: more shoppers than seats, and everything breaks in the middle. Afterwards the
//! books are audited against what shoppers were told.
//!
//! `make flash-sale` runs it on release binaries, `tests/flash_sale.rs` a small one.

pub mod accounts;
pub mod asker;
pub mod chance;
pub mod faults;
pub mod history;
pub mod owners;
pub mod progress;
pub mod report;
pub mod settle;
pub mod shopper;
pub mod story;
pub mod tally;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use platform::auth::Role;
use platform::ids::new_id;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use self::accounts::Accounts;
use self::asker::Asker;
use self::faults::Fault;
use self::history::History;
use self::owners::{FIRST, SECOND};
use self::progress::Progress;
use self::report::{Audit, Report};
use self::shopper::{Sale, VOUCHER};
use self::story::VIP_PERCENT;
use crate::control;
use crate::events::{self, PublishedEvent, TicketType};
use crate::orders::order_body;
use crate::stack::Stack;
use crate::users::User;
use crate::vouchers::{half, make};
use crate::wait::{SOON, eventually};

/// A second instance that has just been started gets its share so soon.
const SHARED_WITHIN: Duration = Duration::from_secs(60);
/// Each event is the first instance's with about one half: so many are never all the second one's.
const EVENTS_AT_MOST: usize = 40;
/// The voucher has a use for so many seats: it is used up early, and its uses come back with holds that end.
const SEATS_PER_USE: u32 = 20;
/// How far ahead the event lies.
const EVENT_IN_DAYS: u32 = 30;

/// A payment whose end is unknown holds its seats for 5 minutes after the hold at most.
pub const DRAINED_WITHIN: Duration = Duration::from_secs(6 * 60);

/// How much of the books is audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audited {
    /// Nothing.
    Nothing,
    /// The event of the sale: others use the stack too, and not everything that tests put there is as it should be.
    TheEvent,
    /// All that is there.
    Everything,
}

/// How much of everything.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Shoppers.
    pub buyers: u64,
    /// Seats of all types.
    pub seats: u32,
    /// Shoppers at a time.
    pub clients: usize,
    /// Accounts that they share.
    pub accounts: usize,
    /// Decides what shoppers do.
    pub seed: u64,
    /// How often somebody who found it sold out comes again.
    pub comes_again: u32,
    /// What goes wrong, in order.
    pub faults: Vec<Fault>,
    /// Where the history goes.
    pub history: PathBuf,
    /// After the last shopper no seat is held any more within this time.
    pub drained_within: Duration,
    /// What svc-checkout audits in the end.
    pub audit: Audited,
}

/// Runs a sale and judges it. Needs both svc-checkout. An error means that it could not be carried through.
pub async fn run(stack: &Stack, settings: Settings) -> anyhow::Result<Report> {
    let progress = Progress::new(settings.buyers)?;
    faults::ready(stack).await?;
    let sale = Arc::new(prepare(stack, settings, &progress).await?);
    let began = Instant::now();
    let (done, seen) = watch::channel(0);
    let both = async {
        tokio::try_join!(
            Arc::clone(&sale).run(done),
            faults::run(stack, &sale, seen, &progress)
        )
    };
    let ((), faults) = tokio::select! {
        ended = both => ended?,
        never = progress.follow(&sale.asker.tally) => match never {},
    };
    let took = began.elapsed();
    progress.end();
    let mut report = Report::of(&sale, took, faults);
    report.requests = sale.asker.history().flush()?;
    progress.say("all shoppers are through; waiting for the last holds to end");
    settle(stack, &sale, &mut report).await?;
    if sale.settings.audit != Audited::Nothing {
        progress.say("auditing");
        report.audit = Some(audit(&sale).await?);
    }
    Ok(report)
}

async fn prepare(stack: &Stack, settings: Settings, progress: &Progress) -> anyhow::Result<Sale> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = event(stack, &organizer, &settings).await?;
    progress.say(&format!("registering {} accounts", settings.accounts));
    let accounts = Accounts::register(stack, organizer, settings.accounts).await?;
    known_at_both_doors(stack, &event, &accounts).await?;
    let history = History::create(&settings.history)?;
    progress.say(&format!(
        "the sale begins, seed {}; history in {}",
        settings.seed,
        history.path().display()
    ));
    Ok(Sale {
        asker: Asker::new(stack, history)?,
        settings,
        event,
        accounts,
    })
}

/// An event that the first instance sells: the fault that comes first is its death.
async fn event(
    stack: &Stack,
    organizer: &User,
    settings: &Settings,
) -> anyhow::Result<PublishedEvent> {
    let what = format!("{FIRST} and {SECOND} to share the work; is the second one started?");
    eventually(SHARED_WITHIN, &what, async || {
        let members = owners::members(stack).await?;
        let works = |name| members.get(name).is_some_and(|share| !share.is_empty());
        Ok((works(FIRST) && works(SECOND)).then_some(()))
    })
    .await?;
    let vip = settings.seats * u32::try_from(VIP_PERCENT)? / 100;
    let ticket_types = [
        TicketType::general(settings.seats - vip),
        TicketType::vip(vip),
    ];
    let mut body = events::concert(&format!("Flash sale {}", settings.seed), EVENT_IN_DAYS);
    // Who gives a ticket back gives its seat back.
    body["attendance_releases_seat"] = json!(true);
    for _ in 0..EVENTS_AT_MOST {
        let event = events::publish(stack.catalog(), organizer, &body, &ticket_types).await?;
        if owners::seller(stack, event.id).await?.as_deref() == Some(FIRST) {
            let voucher = half(VOUCHER, (settings.seats / SEATS_PER_USE).max(1));
            let made = make(stack.catalog(), organizer, event.id, &voucher).send();
            made.await?.expect(201)?;
            return Ok(event);
        }
    }
    bail!("{FIRST} sells none of {EVENTS_AT_MOST} events")
}

/// A wish for a ticket type that does not exist tells whether the event does, and sells nothing.
async fn known_at_both_doors(
    stack: &Stack,
    event: &PublishedEvent,
    accounts: &Accounts,
) -> anyhow::Result<()> {
    let buyer = accounts.buyers.first().context("no accounts")?;
    let body = order_body(event.id, &[(new_id(), 1)]);
    for door in [stack.gateway(), stack.second_checkout()] {
        let what = format!("{} to know the event", door.base());
        eventually(SOON, &what, async || {
            let token = buyer.token().await?;
            let answer = door.post("/v1/orders").token(&token).json(&body);
            let answer = answer.send().await?;
            Ok((answer.body["code"] == "unknown-ticket-type").then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Waits for every end and compares what is sold with what is paid.
async fn settle(stack: &Stack, sale: &Sale, report: &mut Report) -> anyhow::Result<()> {
    match settle::drained(stack, sale.event.id, sale.settings.drained_within).await {
        Ok(seats) => report.seats = seats,
        Err(error) => {
            report.unknown.push(format!("{error:#}"));
            return Ok(());
        }
    }
    let ends = settle::ends(stack, sale).await?;
    for reason in &ends.unreadable {
        report.unknown.push(format!("order {reason}"));
    }
    let reserved = ends.with_status("reserved");
    if reserved > 0 {
        let told = format!("{reserved} orders are shown as reserved, and no seat as held");
        report.unknown.push(told);
    }
    match settle::sold_as_paid(stack, sale.event.id, &ends).await {
        Ok(seats) => report.seats = seats,
        Err(error) if ends.unreadable.is_empty() => report.violations.push(format!("{error:#}")),
        Err(error) => report.unknown.push(format!("{error:#}")),
    }
    for seats in report
        .seats
        .iter()
        .filter(|seats| seats.sold > seats.quantity)
    {
        let told = format!("{} seats sold of {}", seats.sold, seats.quantity);
        report.violations.push(told);
    }
    report.ends = ends;
    Ok(())
}

/// The audit of svc-checkout over its topics and tables, held against the history.
async fn audit(sale: &Sale) -> anyhow::Result<Audit> {
    let history = sale.asker.history().path().to_str();
    let history = history.context("the history's path is no text, and the audit needs it")?;
    let event = sale.event.id.to_string();
    let mut arguments = vec!["run", "checkout", "audit", "--history", history];
    if sale.settings.audit == Audited::TheEvent {
        arguments.extend(["--event", &event]);
    }
    let output = control::stack(&arguments).await?;
    let code = output.status.code();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !matches!(code, Some(0 | 1)) {
        // Why it could not judge.
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    Ok(Audit { code, said })
}
