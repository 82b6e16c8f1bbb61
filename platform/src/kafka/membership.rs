//! Whether a client is in its consumer group, as it says itself.
//!
//! A client that has lost its group joins again by itself, but not always: after a broker had been silent for half a
//! minute one was seen to wait for a coordinator that it never asked again, without an error, while everybody else was
//! served. So whoever belongs to a group looks at what its client says, and makes a new one when it stays outside.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use serde::Deserialize;

/// How often the client says how it is. Whoever gives it up must have waited for two such times longer than it may take to
/// join.
pub const TOLD_EVERY: Duration = Duration::from_secs(5);

/// As long as it asks for its share. In all other states it has one, or the program takes its time with what it was given.
const ASKING: [&str; 4] = ["init", "wait-join", "wait-metadata", "wait-sync"];

/// The part of the client's statistics that is about the group (librdkafka, `STATISTICS.md`).
#[derive(Deserialize)]
struct Statistics {
    cgrp: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    state: String,
    join_state: String,
}

/// What a client has said of its group last.
#[derive(Debug)]
pub struct Membership {
    /// `None`: it is in.
    out_since: Mutex<Option<Instant>>,
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            out_since: Mutex::new(Some(Instant::now())),
        }
    }
}

impl Membership {
    /// Makes the client say how it is; its context hands that to [`Membership::hear`].
    pub fn ask(config: &mut ClientConfig) {
        config.set("statistics.interval.ms", TOLD_EVERY.as_millis().to_string());
    }

    /// Takes the client's statistics, which are JSON.
    pub fn hear(&self, statistics: &[u8]) {
        let is_in = match serde_json::from_slice::<Statistics>(statistics) {
            Ok(Statistics { cgrp: Some(group) }) => {
                group.state == "up" && !ASKING.contains(&group.join_state.as_str())
            }
            Ok(Statistics { cgrp: None }) => false,
            Err(error) => {
                tracing::warn!(%error, "the client's statistics cannot be read");
                return;
            }
        };
        let mut out_since = self
            .out_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match is_in {
            true => *out_since = None,
            false => {
                out_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// How long the client has not been in its group by now: from its beginning until it has joined, and again from when it
    /// has lost it. Right to some seconds.
    pub fn out_for(&self) -> Duration {
        let out_since = *self
            .out_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        out_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: &str, join_state: &str) -> Vec<u8> {
        format!(
            r#"{{"name": "rdkafka#consumer-1", "brokers": {{}}, "cgrp": {{"state": "{state}", "stateage": 1, "join_state": "{join_state}"}}}}"#
        )
        .into_bytes()
    }

    fn is_out(membership: &Membership) -> bool {
        membership.out_since.lock().unwrap().is_some()
    }

    #[test]
    fn out_until_it_has_joined_and_from_when_it_has_lost_the_group() {
        let membership = Membership::default();
        assert!(is_out(&membership), "not joined yet");
        membership.hear(&told("up", "steady"));
        assert!(!is_out(&membership));
        assert_eq!(membership.out_for(), Duration::ZERO);
        // A box office takes its time with what was state of another one.
        membership.hear(&told("up", "wait-assign-call"));
        assert!(!is_out(&membership));
        for (state, join_state) in [("wait-coord", "steady"), ("up", "wait-join")] {
            membership.hear(&told(state, join_state));
            assert!(is_out(&membership), "{state} {join_state}");
            membership.hear(&told("up", "steady"));
            assert!(!is_out(&membership));
        }
    }

    #[test]
    fn the_time_is_counted_from_the_first_that_was_heard_of_it() {
        let membership = Membership::default();
        membership.hear(&told("up", "steady"));
        membership.hear(&told("query-coord", "init"));
        let since = *membership.out_since.lock().unwrap();
        membership.hear(&told("wait-coord", "init"));
        assert_eq!(*membership.out_since.lock().unwrap(), since);
        // What says nothing changes nothing.
        membership.hear(b"no JSON");
        assert_eq!(*membership.out_since.lock().unwrap(), since);
    }
}
