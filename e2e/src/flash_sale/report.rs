//! What came out, for people and for an exit code.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::settle::{Ends, Seats};
use super::shopper::Sale;
use super::tally::{Counts, OrderLatencies};

/// What the audit calls the promise that what a client was told stays true.
pub const NOTHING_LOST: &str = "nothing that was answered is lost";
/// And the promise that no seat is sold twice.
pub const NEVER_OVERSOLD: &str = "no ticket type is oversold at any time";

/// What the audit of svc-checkout said.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Its exit code: 0 when all holds, 1 when something does not, else it could not judge.
    pub code: Option<i32>,
    /// Its output.
    pub said: String,
}

impl Audit {
    /// How often it found this promise broken; `None` when it does not say.
    pub fn times_broken(&self, promise: &str) -> Option<u64> {
        self.said.lines().find_map(|line| {
            let holds = line.strip_prefix("holds");
            if holds.is_some_and(|what| what.trim_start() == promise) {
                return Some(0);
            }
            let found = line.strip_prefix("BROKEN")?.trim_start();
            let times = found.strip_prefix(promise)?.strip_prefix(": ")?;
            times.strip_suffix(" times")?.parse().ok()
        })
    }
}

/// What is to be thought of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All holds.
    Passed,
    /// Something is wrong.
    Violated,
    /// Something could not be seen.
    Unknown,
}

impl Verdict {
    /// For the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Violated => 1,
            Self::Unknown => 2,
        }
    }
}

/// A sale that is over.
#[derive(Debug, Clone)]
pub struct Report {
    /// Shoppers, accounts, clients, seats and the seed, in words.
    pub heading: String,
    /// From the first shopper to the last.
    pub took: Duration,
    /// Requests in the history.
    pub requests: u64,
    /// What was counted.
    pub counts: Counts,
    /// Of answered wishes for an order.
    pub latencies: OrderLatencies,
    /// What became of the orders.
    pub ends: Ends,
    /// The seats at the end: general, vip. None when they could not be read.
    pub seats: Vec<Seats>,
    /// The faults that came.
    pub faults: Vec<String>,
    /// None when it was left out.
    pub audit: Option<Audit>,
    /// What is wrong.
    pub violations: Vec<String>,
    /// What could not be seen.
    pub unknown: Vec<String>,
}

impl Report {
    /// Everything about `sale` that its counts tell by themselves.
    pub fn of(sale: &Sale, took: Duration, faults: Vec<String>) -> Self {
        let settings = &sale.settings;
        let heading = format!(
            "{} shoppers with {} accounts between them, {} at a time, for {} seats; seed {}",
            thousands(settings.buyers),
            thousands(sale.accounts.buyers.len()),
            thousands(settings.clients),
            thousands(settings.seats),
            settings.seed
        );
        let counts = sale.asker.tally.with(|counts| counts.clone());
        let mut report = Self {
            heading,
            took,
            requests: 0,
            latencies: sale.asker.tally.latencies(),
            ends: Ends::default(),
            seats: Vec::new(),
            faults,
            audit: None,
            violations: Vec::new(),
            unknown: Vec::new(),
            counts,
        };
        for duplicate in &report.counts.duplicates {
            let told = format!("one key was answered with two orders: {duplicate}");
            report.violations.push(told);
        }
        for (answer, times) in &report.counts.unexpected {
            let told = format!("{times} times an answer that nobody should get: {answer}");
            report.violations.push(told);
        }
        for (kind, keys) in &report.counts.unanswered {
            report
                .unknown
                .push(format!("{keys} times no answer to {kind:?}"));
        }
        report
    }

    /// What is to be thought of it: what is wrong outweighs what is not known.
    pub fn verdict(&self) -> Verdict {
        let audit = self.audit.as_ref().map(|audit| audit.code);
        if !self.violations.is_empty() || audit == Some(Some(1)) {
            Verdict::Violated
        } else if !self.unknown.is_empty() || !matches!(audit, None | Some(Some(0))) {
            Verdict::Unknown
        } else {
            Verdict::Passed
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counts, ends) = (&self.counts, &self.ends);
        let unanswered: u64 = counts.unanswered.values().sum();
        writeln!(f, "{}", self.heading)?;
        writeln!(
            f,
            "  took       {:.0} s, {} requests",
            self.took.as_secs_f64(),
            thousands(self.requests)
        )?;
        writeln!(
            f,
            "  orders     {} accepted; {} refused as sold out, {} for a voucher that was used up, {} shoppers went without; {} keys given up without an answer",
            thousands(counts.accepted.len()),
            thousands(counts.sold_out),
            thousands(counts.voucher_used_up),
            thousands(counts.went_without),
            thousands(unanswered)
        )?;
        writeln!(
            f,
            "  ends       {} paid, {} expired, {} cancelled, {} refunded, {} still reserved, {} unreadable",
            thousands(ends.with_status("paid")),
            thousands(ends.with_status("expired")),
            thousands(ends.with_status("cancelled")),
            thousands(ends.with_status("refunded")),
            thousands(ends.with_status("reserved")),
            thousands(ends.unreadable.len())
        )?;
        writeln!(
            f,
            "  answers    {} payments taken, {} declined; {} cancelled, {} refunded, {} tickets given back; {} came after the hold",
            thousands(counts.payments_taken),
            thousands(counts.payments_declined),
            thousands(counts.cancelled),
            thousands(counts.refunded),
            thousands(counts.given_back),
            thousands(counts.too_late)
        )?;
        for (name, seats) in ["general", "vip"].iter().zip(&self.seats) {
            writeln!(
                f,
                "  {name:<11}{} of {} seats sold, {} held, {} left; {} paid tickets, {} of them given back",
                thousands(seats.sold),
                thousands(seats.quantity),
                thousands(seats.held),
                thousands(seats.available),
                thousands(ends.paid_tickets.get(&seats.id).unwrap_or(&0)),
                thousands(ends.given_back.get(&seats.id).unwrap_or(&0))
            )?;
        }
        writeln!(
            f,
            "  keys       {} requests repeated under their key, {} keys sent twice at once; {} keys with two orders",
            thousands(counts.repeats),
            thousands(counts.twins),
            counts.duplicates.len()
        )?;
        let OrderLatencies { placed, refused } = &self.latencies;
        writeln!(f, "  an order   {}", latency(&placed.outside))?;
        writeln!(f, "  in faults  {}", latency(&placed.inside))?;
        writeln!(f, "  a refusal  {}", latency(&refused.outside))?;
        writeln!(f, "  in faults  {}", latency(&refused.inside))?;
        for fault in &self.faults {
            writeln!(f, "  fault      {fault}")?;
        }
        for (name, promise) in [("lost", NOTHING_LOST), ("oversold", NEVER_OVERSOLD)] {
            let times = match &self.audit {
                None => "not audited".to_owned(),
                Some(audit) => audit.times_broken(promise).map_or_else(
                    || "the audit does not say".to_owned(),
                    |times| format!("{} times, by the audit", thousands(times)),
                ),
            };
            writeln!(f, "  {name:<11}{times}")?;
        }
        if let Some(audit) = &self.audit {
            writeln!(f, "audit:\n{}", audit.said.trim_end())?;
        }
        for violation in &self.violations {
            writeln!(f, "  WRONG      {violation}")?;
        }
        for unknown in &self.unknown {
            writeln!(f, "  UNKNOWN    {unknown}")?;
        }
        let audited = match &self.audit {
            None => "not audited",
            Some(Audit { code: Some(0), .. }) => "the audit passed",
            Some(Audit { code: Some(1), .. }) => "the audit found violations",
            Some(_) => "the audit could not judge",
        };
        write!(f, "verdict: {:?}, {audited}", self.verdict())
    }
}

fn latency(of: &Histogram<u64>) -> String {
    let ms = |quantile| Duration::from_micros(of.value_at_quantile(quantile)).as_secs_f64() * 1e3;
    format!(
        "p50 {:.1} ms, p99 {:.1} ms of {} answers",
        ms(0.50),
        ms(0.99),
        thousands(of.len())
    )
}

/// 12,345.
fn thousands(number: impl fmt::Display) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(123), "123");
        assert_eq!(thousands(20_000), "20,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    fn report() -> anyhow::Result<Report> {
        Ok(Report {
            heading: String::new(),
            took: Duration::ZERO,
            requests: 0,
            counts: Counts::default(),
            latencies: OrderLatencies::new()?,
            ends: Ends::default(),
            seats: Vec::new(),
            faults: Vec::new(),
            audit: None,
            violations: Vec::new(),
            unknown: Vec::new(),
        })
    }

    #[test]
    fn what_is_lost_and_oversold_is_what_the_audit_found() -> anyhow::Result<()> {
        let mut report = report()?;
        assert!(report.to_string().contains("lost       not audited"));
        let mut line = |said: String, name: &str| {
            report.audit = Some(Audit {
                code: Some(1),
                said,
            });
            let text = report.to_string();
            let line = text
                .lines()
                .find_map(|line| line.trim_start().strip_prefix(name));
            line.map(|line| line.trim_start().to_owned())
        };
        let said = format!(
            "12 records\nholds   {NEVER_OVERSOLD}\nBROKEN  {NOTHING_LOST}: 1053 times\n        one"
        );
        let told = |times: &str| Some(format!("{times} times, by the audit"));
        assert_eq!(line(said.clone(), "lost"), told("1,053"));
        assert_eq!(line(said, "oversold"), told("0"));
        let unknown = Some("the audit does not say".to_owned());
        assert_eq!(
            line(format!("-       {NOTHING_LOST}: needs --history"), "lost"),
            unknown
        );
        Ok(())
    }

    /// The audit shares no code with this, so that its words are all there is.
    #[test]
    fn the_promises_are_called_as_the_audit_calls_them() -> anyhow::Result<()> {
        let audit = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../svc-checkout/src/audit/report.rs"
        );
        let audit = std::fs::read_to_string(audit)?;
        for promise in [NOTHING_LOST, NEVER_OVERSOLD] {
            assert!(audit.contains(&format!("=> {promise:?},")), "{promise}");
        }
        Ok(())
    }

    #[test]
    fn wrong_outweighs_unknown_and_unknown_is_no_pass() -> anyhow::Result<()> {
        let mut report = report()?;
        assert_eq!(report.verdict(), Verdict::Passed);
        let said = |code| {
            Some(Audit {
                code,
                said: String::new(),
            })
        };
        for (code, verdict) in [
            (Some(0), Verdict::Passed),
            (Some(1), Verdict::Violated),
            (Some(2), Verdict::Unknown),
            (None, Verdict::Unknown),
        ] {
            report.audit = said(code);
            assert_eq!(report.verdict(), verdict, "{code:?}");
        }
        report.audit = None;
        report.unknown.push("an end".to_owned());
        assert_eq!(report.verdict(), Verdict::Unknown);
        report.violations.push("an order".to_owned());
        assert_eq!(report.verdict(), Verdict::Violated);
        Ok(())
    }
}
