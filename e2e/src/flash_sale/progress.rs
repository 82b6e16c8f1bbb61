//! How far the sale is: a bar on a terminal, a line from time to time elsewhere.

use std::convert::Infallible;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::tally::Tally;

/// Often enough to see that it moves.
const DRAW_EVERY: Duration = Duration::from_millis(250);
/// Where every drawing is a line that stays.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows a sale.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For so many shoppers.
    pub fn new(buyers: u64) -> anyhow::Result<Self> {
        let template = "{elapsed_precise} [{bar:30}] {pos}/{len} shoppers  {msg}";
        let bar = ProgressBar::new(buyers);
        bar.set_style(ProgressStyle::with_template(template)?.progress_chars("=> "));
        Ok(Self { bar })
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| println!("flash-sale: {line}"));
    }

    /// Shows what is counted, until it is dropped.
    pub async fn follow(&self, tally: &Tally) -> Infallible {
        let mut tick = interval(DRAW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_line = Instant::now();
        loop {
            tick.tick().await;
            let (done, counts) = tally.with(|counts| {
                let placed = counts.accepted.len();
                let (paid, without) = (counts.payments_taken, counts.went_without);
                let fault = if counts.in_fault { ", FAULT" } else { "" };
                let shown = format!("{placed} orders, {paid} paid, {without} went without{fault}");
                (counts.done, shown)
            });
            self.bar.set_message(counts.clone());
            self.bar.set_position(done);
            if self.bar.is_hidden() && last_line.elapsed() >= LINE_EVERY {
                last_line = Instant::now();
                let all = self.bar.length().unwrap_or_default();
                self.say(&format!("{done}/{all} shoppers  {counts}"));
            }
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
