//! A small flash sale: three hundred shoppers, a hundred seats, and what sells them is killed, frozen and loses its
//! database. `make flash-sale` runs a larger one.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use e2e::Stack;
use e2e::control::stack_command;
use e2e::flash_sale::faults::{Fault, LEFT_OUT, SECOND_PROGRAM};
use e2e::flash_sale::report::{NEVER_OVERSOLD, NOTHING_LOST, Verdict};
use e2e::flash_sale::{Audited, DRAINED_WITHIN, Settings, run};
use platform::ids::new_id;

fn small(folder: &str) -> Settings {
    Settings {
        buyers: 300,
        seats: 100,
        clients: 64,
        accounts: 64,
        // Another one each time, and told: what fails can be repeated.
        seed: new_id().as_u64_pair().1 % 1_000_000,
        comes_again: 1,
        faults: vec![
            Fault::KillCheckout,
            Fault::FreezeCheckout,
            Fault::KillCassandra,
        ],
        history: PathBuf::from(folder).join("flash-sale.jsonl"),
        drained_within: DRAINED_WITHIN,
        audit: Audited::TheEvent,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flash_sale_with_faults_passes_the_audit() -> anyhow::Result<()> {
    let folder = std::env::var("STACK_FOLDER").context("STACK_FOLDER is not set")?;
    stack_command("start", SECOND_PROGRAM).await?;
    let report = run(&Stack::from_env(), small(&folder)).await;
    let stopped = stack_command("stop", SECOND_PROGRAM).await;
    let report = report?;
    println!("{report}");
    stopped?;
    ensure!(report.verdict() == Verdict::Passed, "{report}");
    ensure!(!report.counts.accepted.is_empty(), "nobody got an order");
    let audit = report.audit.as_ref().context("it was not audited")?;
    for promise in [NOTHING_LOST, NEVER_OVERSOLD] {
        ensure!(audit.times_broken(promise) == Some(0), "{report}");
    }
    let all_came = report
        .faults
        .iter()
        .all(|fault| !fault.starts_with(LEFT_OUT));
    ensure!(all_came, "too few shoppers for all faults: {report}");
    Ok(())
}
