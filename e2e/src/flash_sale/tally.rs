//! What is counted while shoppers shop.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use platform::clock::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::history::Kind;

/// Longest latency told apart: 60 s in µs, above what a request may take.
const LONGEST_US: u64 = 60_000_000;
/// Latencies are kept to 0.1 %.
const DIGITS: u8 = 3;

/// An order that somebody was told he has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: Uuid,
    /// Index of the account that has it.
    pub account: usize,
}

/// Plain counts.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Shoppers who are through.
    pub done: u64,
    /// Orders that shoppers were told they have, in the order in which they were told.
    pub accepted: Vec<Accepted>,
    /// When the holds end that their shoppers leave alone.
    pub left_alone: Vec<Timestamp>,
    /// Refusals as sold out; who comes again may be refused again.
    pub sold_out: u64,
    /// Refusals because the voucher was used up.
    pub voucher_used_up: u64,
    /// Shoppers who left without an order, because all was sold out.
    pub went_without: u64,
    /// Keys that got no answer in all the time that a shopper has.
    pub unanswered: BTreeMap<Kind, u64>,
    /// Payments that were answered as taken.
    pub payments_taken: u64,
    /// Payments that were answered as declined.
    pub payments_declined: u64,
    /// Orders whose hold had ended before they were paid or cancelled.
    pub too_late: u64,
    /// Cancellations that were answered.
    pub cancelled: u64,
    /// Refunds that were answered.
    pub refunded: u64,
    /// Tickets of which it was answered that they were given back.
    pub given_back: u64,
    /// Requests that were sent once more under their key.
    pub repeats: u64,
    /// Keys that were sent twice at once.
    pub twins: u64,
    /// Keys that were answered with different orders.
    pub duplicates: Vec<String>,
    /// Answers that none of these calls should get, and how often.
    pub unexpected: BTreeMap<String, u64>,
    /// A fault is going on.
    pub in_fault: bool,
}

/// Latencies of one kind of answer, in µs.
#[derive(Debug, Clone)]
pub struct Latencies {
    /// While all was well.
    pub outside: Histogram<u64>,
    /// Asked or answered while a fault was going on.
    pub inside: Histogram<u64>,
}

impl Latencies {
    /// Of no answer yet.
    pub fn new() -> anyhow::Result<Self> {
        let empty = Histogram::new_with_bounds(1, LONGEST_US, DIGITS)?;
        Ok(Self {
            outside: empty.clone(),
            inside: empty,
        })
    }

    fn record(&mut self, time: Duration, in_fault: bool) {
        let us = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US);
        let latencies = if in_fault {
            &mut self.inside
        } else {
            &mut self.outside
        };
        latencies.saturating_record(us);
    }
}

/// Latencies of answers to wishes for an order. Apart, because a refusal at the door is no work: where most are refused,
/// they alone would be the median.
#[derive(Debug, Clone)]
pub struct OrderLatencies {
    /// Answered with the order, which has its rows by then.
    pub placed: Latencies,
    /// Sold out, or another refusal.
    pub refused: Latencies,
}

impl OrderLatencies {
    /// Of no answer yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            placed: Latencies::new()?,
            refused: Latencies::new()?,
        })
    }
}

/// What everybody reports to.
pub struct Tally {
    counts: Mutex<Counts>,
    latencies: Mutex<OrderLatencies>,
}

impl Tally {
    /// Nothing is counted yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            counts: Mutex::default(),
            latencies: Mutex::new(OrderLatencies::new()?),
        })
    }

    /// Reads or changes the counts.
    pub fn with<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An answer that a call should not get.
    pub fn unexpected(&self, kind: Kind, status: u16, body: &Value) {
        let code = body["code"].as_str().unwrap_or("without a code");
        let answer = format!("{kind:?} {status} {code}");
        self.with(|counts| *counts.unexpected.entry(answer).or_default() += 1);
    }

    /// An order was placed after this time.
    pub fn placed(&self, time: Duration, in_fault: bool) {
        self.lock_latencies().placed.record(time, in_fault);
    }

    /// A wish for an order was refused after this time.
    pub fn refused(&self, time: Duration, in_fault: bool) {
        self.lock_latencies().refused.record(time, in_fault);
    }

    /// A copy.
    pub fn latencies(&self) -> OrderLatencies {
        self.lock_latencies().clone()
    }

    fn lock_latencies(&self) -> MutexGuard<'_, OrderLatencies> {
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_no_order_however_fast_it_is() -> anyhow::Result<()> {
        let tally = Tally::new()?;
        let us = Duration::from_micros;
        tally.placed(us(400), false);
        tally.placed(us(900), true);
        for _ in 0..100 {
            tally.refused(us(2), false);
        }
        let OrderLatencies { placed, refused } = tally.latencies();
        let median = |of: &Histogram<u64>| (of.len(), of.value_at_quantile(0.5));
        assert_eq!(median(&placed.outside), (1, 400));
        assert_eq!(median(&placed.inside), (1, 900));
        assert_eq!(median(&refused.outside), (100, 2));
        assert!(refused.inside.is_empty());
        Ok(())
    }
}
