//! What a piece of work carries through all code without every function passing it on: the id of the request and the
//! trace it belongs to.
//!
//! It is bound to the task: work that is spawned starts without one, unless it is given [`RequestContext::scope`].

use std::future::Future;
use std::sync::Arc;

use crate::ids::new_id;

/// Longest request id that a client may choose.
pub const MAX_REQUEST_ID_LEN: usize = 128;

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// The request id and the W3C trace context of the work in hand. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    request_id: Arc<str>,
    traceparent: Arc<str>,
}

impl RequestContext {
    /// From what the caller sent. What is absent or not valid is made anew: an id is written to logs and answers, and
    /// a caller must not be able to put anything else there.
    pub fn from_headers(request_id: Option<&str>, traceparent: Option<&str>) -> Self {
        let request_id = match request_id.filter(|id| is_request_id(id)) {
            Some(id) => Arc::from(id),
            None => Arc::from(new_id().hyphenated().encode_lower(&mut [0; 36]) as &str),
        };
        let traceparent = match traceparent.filter(|text| is_traceparent(text)) {
            Some(text) => Arc::from(text),
            None => Arc::from(new_traceparent()),
        };
        Self {
            request_id,
            traceparent,
        }
    }

    /// The id of the request: visible ASCII, at most [`MAX_REQUEST_ID_LEN`] characters.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The `traceparent`, to be passed on in requests and records.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The context of the work in hand, if it has one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `work` with this context.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }
}

fn is_request_id(id: &str) -> bool {
    (1..=MAX_REQUEST_ID_LEN).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// Version 00 of W3C Trace Context: `00-<32 hex>-<16 hex>-<2 hex>`, small letters, ids not all zero.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let (Some("00"), Some(trace), Some(span), Some(flags), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return false;
    };
    let not_zero = |part: &str| part.bytes().any(|b| b != b'0');
    hex(trace, 32) && not_zero(trace) && hex(span, 16) && not_zero(span) && hex(flags, 2)
}

/// A trace that begins here. Not sampled: whoever records traces decides that.
fn new_traceparent() -> String {
    let trace = new_id().simple();
    let (_, span) = new_id().as_u64_pair();
    format!("00-{trace}-{span:016x}-00")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_valid_is_kept() {
        let context = RequestContext::from_headers(Some("abc/1+2=3"), Some(TRACE));
        assert_eq!(context.request_id(), "abc/1+2=3");
        assert_eq!(context.traceparent(), TRACE);
    }

    #[test]
    fn what_is_not_valid_is_made_anew() {
        let long = "a".repeat(MAX_REQUEST_ID_LEN + 1);
        for id in ["", "a b", "a\nb", "é", &long] {
            let context = RequestContext::from_headers(Some(id), None);
            assert_ne!(context.request_id(), id);
            assert!(is_request_id(context.request_id()));
        }
        for trace in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        ] {
            let context = RequestContext::from_headers(None, Some(trace));
            assert_ne!(context.traceparent(), trace);
            assert!(
                is_traceparent(context.traceparent()),
                "{}",
                context.traceparent()
            );
        }
    }

    #[tokio::test]
    async fn a_spawned_task_has_no_context_of_its_own() {
        let context = RequestContext::from_headers(Some("one"), None);
        let seen = context
            .clone()
            .scope(async {
                (
                    RequestContext::current(),
                    tokio::spawn(async { RequestContext::current() })
                        .await
                        .unwrap(),
                )
            })
            .await;
        assert_eq!(seen, (Some(context), None));
        assert_eq!(RequestContext::current(), None);
    }
}
