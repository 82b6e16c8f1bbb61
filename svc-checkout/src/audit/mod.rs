//! `svc-checkout audit`: is everything true that the system promises?
//!
//! An auditor shares nothing with the audited: no rule, no reader and no row of the rest of this service is used here,
//! and a test sees to it. It reads the topics as any consumer does, the tables row by row, the provider's ledger, and,
//! where there is one, the history that clients wrote. It disturbs nobody, so it may run while tickets are sold.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use platform::avro::Registry;
use platform::clock::Timestamp;
use platform::cql;

use crate::config::StoresConfig;

mod charges;
mod clients;
mod ledger;
mod money;
mod orders;
mod report;
mod scope;
mod stock;
mod tables;
mod vouchers;

#[cfg(test)]
mod tests;

use charges::Charges;
use clients::History;
use ledger::Ledger;
use money::OnTheWay;
pub use report::Report;
use report::{Found, Promise};
use scope::Scope;
use tables::Tables;
use uuid::Uuid;

/// What is found must be found so often, reading on in between: what is read of a running system is never of one
/// moment, and rows come a little after the records.
const ROUNDS: usize = 10;

/// What to audit besides topics and tables.
#[derive(Debug, Default, clap::Args)]
pub struct Audit {
    /// JSON lines that clients wrote: what they asked and what they were answered
    #[arg(long)]
    pub history: Option<PathBuf>,
    /// One event's id, and nothing else is looked at
    #[arg(long)]
    pub event: Option<Uuid>,
    /// A keyspace whose tables are looked at in place of CQL_KEYSPACE's, as `rebuild` fills one; the provider's ledger
    /// stays where it is
    #[arg(long)]
    pub tables: Option<String>,
}

/// Reads everything and judges. An error: it could not be judged.
pub async fn run(config: &StoresConfig, audit: &Audit) -> anyhow::Result<Report> {
    let started = Instant::now();
    let history = match &audit.history {
        Some(file) => {
            let opened = File::open(file).with_context(|| format!("open {}", file.display()))?;
            Some(History::read(BufReader::new(opened))?)
        }
        None => None,
    };
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    let scope = Scope { event: audit.event };
    let session = cql::connect(&config.cql).await?;
    let mut where_tables_are = config.cql.clone();
    if let Some(keyspace) = &audit.tables {
        where_tables_are.keyspace.clone_from(keyspace);
    }
    let tables_session = cql::connect(&where_tables_are).await?;
    let mut ledger = Ledger::open(&config.kafka, &registry, scope)?;
    ledger.read_on().await?;
    let mut tables = Tables::scan(&tables_session, scope).await?;
    // What was on its way during the scan has its record by now.
    ledger.read_on().await?;

    let look = async |ledger: &_, tables: &_| {
        // After the ledger: whoever has tickets was charged before.
        let charges = charges::read(&session, scope).await?;
        anyhow::Ok(judge(ledger, tables, charges, history.as_ref(), scope))
    };
    let mut seen = look(&ledger, &tables).await?;
    for _ in 0..ROUNDS {
        if seen.found.0.is_empty() {
            break;
        }
        ledger.read_on().await?;
        tables.look_again(&ledger, &seen.suspects).await?;
        let again = look(&ledger, &tables).await?;
        seen = Look {
            found: again.found.still(&seen.found),
            ..again
        };
    }

    let Look {
        found,
        on_the_way,
        charges,
        ..
    } = seen;
    let mut report = Report::new(history.is_some());
    report.facts.push(format!(
        "{} orders of {} events in {} records, {} rows, {} charges{}, read in {:.1} s",
        ledger.orders.len(),
        ledger.stock.len(),
        ledger.records,
        tables.orders(),
        charges.lines().count(),
        history.map_or_else(String::new, |history| format!(
            ", {} requests",
            history.len()
        )),
        started.elapsed().as_secs_f64()
    ));
    for (currency, [captured, back, sold]) in money::sums(&ledger, &charges) {
        report.facts.push(format!(
            "{currency}, minor units: captured {captured}, paid back {back}, orders that are paid {sold}"
        ));
    }
    let noted = charges.lines().filter(|charge| charge.is_our_note).count();
    if noted > 0 {
        report.facts.push(format!(
            "{noted} charges are our notes of what Stripe said: its own ledger was not read"
        ));
    }
    let OnTheWay { captured, owed } = on_the_way;
    report.facts.push(format!(
        "on the way: {captured} charges that the box office was not told yet, {owed} refunds"
    ));
    report.broken(found);
    Ok(report)
}

/// What one look at everything that was read has shown.
struct Look {
    found: Found,
    on_the_way: OnTheWay,
    /// Orders whose rows are to be read again.
    suspects: HashSet<Uuid>,
    /// The provider's ledger at that time.
    charges: Charges,
}

fn judge(
    ledger: &Ledger,
    tables: &Tables<'_>,
    charges: Charges,
    history: Option<&History>,
    scope: Scope,
) -> Look {
    let mut found = Found::default();
    // Of one event only: whose record it was nobody knows.
    for text in ledger.unreadable.iter().filter(|_| scope.event.is_none()) {
        found.add(Promise::EverythingReadable, Uuid::nil(), text.as_str());
    }
    let now = Timestamp::now().as_micros();
    orders::check(ledger, now, &mut found);
    stock::check(ledger, &mut found);
    vouchers::check(ledger, &mut found);
    let on_the_way = money::check(ledger, &charges, now, &mut found);
    let suspects = tables.check(ledger, &mut found);
    if let Some(history) = history {
        history.check(ledger, &mut found);
    }
    Look {
        found,
        on_the_way,
        suspects,
        charges,
    }
}
