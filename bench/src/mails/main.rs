//! `make bench-mails`: how soon all buyers of one event have their mail, when its tickets were sold while svc-mailer was off.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bench::cpu::{Processes, per_order};
use bench::load;
use bench::machine::Machine;
use bench::users::Buyers;
use clap::Parser;
use e2e::control::stack_command_with;
use e2e::{Reader, Role, Stack, TicketType};
use schemas::mailer::NotificationSent;
use schemas::topics::MAILER_NOTIFICATIONS;
use uuid::Uuid;

const MAILER: &str = "svc-mailer";
const DATABASE: &str = "cassandra";
const SEATS: u32 = 1_000_000;
/// They share the orders: what is measured is the mailer.
const BUYERS: usize = 16;
/// The orders of one round take less.
const ALL_SOLD: Duration = Duration::from_secs(60);
/// For one more mail.
const NEXT_MAIL: Duration = Duration::from_secs(60);

/// Mails of one event, while nothing else happens
#[derive(Parser)]
struct Arguments {
    /// Paid orders of each round
    #[arg(long, default_value_t = 400)]
    orders: usize,
    /// MAILS_AT_ONCE of each round
    #[arg(long, value_delimiter = ',', default_value = "1,8,16,1,8,16")]
    at_once: Vec<usize>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match measure(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-mails: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let machine = Machine::here();
    let mut bench = Bench {
        stack: Stack::try_from_env()?,
        orders: arguments.orders,
    };
    let mut buyers = Buyers::register(&bench.stack, BUYERS).await?;
    println!("\n{machine}; {} mails a round\n", arguments.orders);
    println!(
        "| MAILS_AT_ONCE | mails/s | seconds | the database's CPU, ms a mail | svc-mailer's |"
    );
    println!("|---|---|---|---|---|");
    for &at_once in &arguments.at_once {
        bench.round(&mut buyers, at_once).await?;
    }
    Ok(())
}

struct Bench {
    stack: Stack,
    orders: usize,
}

impl Bench {
    async fn round(&mut self, buyers: &mut Buyers, at_once: usize) -> anyhow::Result<()> {
        stack_command_with("stop", MAILER, &[]).await?;
        let organizer = self.stack.user(&[Role::Organizer]).await?;
        // Nothing is left to pay, so an order is paid when it is placed.
        let ticket_type = TicketType::general(SEATS).at(0);
        let event = self
            .stack
            .published_event(&organizer, &[ticket_type])
            .await?;
        let tokens = buyers.tokens(BUYERS, ALL_SOLD).await?;
        load::place(self.stack.checkout().base(), tokens, &event, self.orders).await?;

        let mut told = self.stack.records_from_now(MAILER_NOTIFICATIONS.name)?;
        let at_once = at_once.to_string();
        let setting = [("SVC_MAILER__MAILS_AT_ONCE", at_once.as_str())];
        stack_command_with("start", MAILER, &setting).await?;
        let processes = Processes::of_stack()?;
        let first = sent(&mut told, event.id).await?;
        let before = processes.sample()?;
        let mut all = BTreeMap::from([(first.notification_id, first.sent_at)]);
        let known = all.len();
        while all.len() < self.orders {
            let mail = sent(&mut told, event.id).await?;
            all.insert(mail.notification_id, mail.sent_at);
        }
        let counted = u64::try_from(all.len() - known)?;
        let used = per_order(&before, &processes.sample()?, counted);
        let cpu = |name: &str| used.get(name).copied().unwrap_or_default() / 1e3;
        let times = || all.values().copied();
        let micros = times().max().context("a mail")? - times().min().context("a mail")?;
        let took = Duration::from_micros(u64::try_from(micros)?).as_secs_f64();
        let rate = f64::from(u32::try_from(counted)?) / took;
        println!(
            "| {at_once} | {rate:.1} | {took:.1} | {:.1} | {:.1} |",
            cpu(DATABASE),
            cpu(MAILER)
        );
        Ok(())
    }
}

/// The next mail about an order of the event.
async fn sent(told: &mut Reader, event: Uuid) -> anyhow::Result<NotificationSent> {
    loop {
        let record = told.wait_for("one more mail", NEXT_MAIL, |record| {
            record.is::<NotificationSent>()
        });
        let mail: NotificationSent = record.await?.read()?;
        if mail.event_id == Some(event) {
            return Ok(mail);
        }
    }
}
