//! Errors as RFC 9457 `application/problem+json`. The only place that makes them, so that every service refuses in the
//! same words, and the only list of codes.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};

use crate::context::RequestContext;
use crate::cql::CqlError;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// What `Retry-After` says when nothing better is known, in seconds.
pub const DEFAULT_RETRY_AFTER_SECS: u32 = 2;

macro_rules! codes {
    ($($variant:ident $text:literal $status:literal $title:literal;)*) => {
        /// What went wrong, for programs. A code never changes its meaning or its status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(
                #[doc = concat!("`", $text, "`, ", $status, ": ", $title, ".")]
                $variant,
            )*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands in answers: `sold-out`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What it is, for people, the same every time.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The HTTP status it is answered with.
            pub fn status(self) -> StatusCode {
                let status = match self { $(Self::$variant => $status,)* };
                StatusCode::from_u16(status).expect("a status of three digits")
            }
        }
    };
}

codes! {
    Malformed "malformed" 400 "The request cannot be read";
    Unauthenticated "unauthenticated" 401 "A valid access token is needed";
    BadCredentials "bad-credentials" 401 "The e-mail address or the password is wrong";
    TokenExpired "token-expired" 401 "The access token has expired";
    PaymentDeclined "payment-declined" 402 "The payment was declined";
    Forbidden "forbidden" 403 "This is not allowed to you";
    NotFound "not-found" 404 "There is nothing here, or nothing for you";
    UnknownEvent "unknown-event" 404 "There is no such event";
    UnknownTicketType "unknown-ticket-type" 404 "The event has no such ticket type";
    MethodNotAllowed "method-not-allowed" 405 "This cannot be done with that method";
    EmailTaken "email-taken" 409 "The e-mail address is in use";
    SoldOut "sold-out" 409 "Not enough tickets are left";
    LimitPerBuyer "limit-per-buyer" 409 "More than one buyer may have";
    SaleClosed "sale-closed" 409 "The sale is not open";
    VoucherTaken "voucher-taken" 409 "The event has a voucher with this code";
    VoucherUsedUp "voucher-used-up" 409 "The voucher is used up";
    VoucherInvalid "voucher-invalid" 409 "The voucher is not valid here";
    HoldExpired "hold-expired" 409 "The reservation has expired";
    OrderCancelled "order-cancelled" 409 "The order was cancelled";
    AlreadyPaid "already-paid" 409 "The order is paid";
    PaymentInProgress "payment-in-progress" 409 "A payment of the order is under way";
    TooManyAttempts "too-many-attempts" 409 "Too many attempts to pay the order";
    CaseFull "case-full" 409 "The case takes no more messages";
    NotPaid "not-paid" 409 "The order is not paid";
    UseRefund "use-refund" 409 "A paid order is refunded, not cancelled";
    AlreadyRefunded "already-refunded" 409 "The order was refunded";
    AlreadyAdmitted "already-admitted" 409 "The ticket was admitted before";
    Revoked "revoked" 409 "The ticket was revoked";
    BelowSold "below-sold" 409 "Fewer than are held and sold";
    NotPublishable "not-publishable" 409 "The event cannot be published as it is";
    HasOrders "has-orders" 409 "There are orders for it";
    RequestInProgress "request-in-progress" 409 "A request with this key is under way";
    Stale "stale" 412 "It was changed in the meantime";
    TooLarge "too-large" 413 "The body is too large";
    UnsupportedMediaType "unsupported-media-type" 415 "This media type is not read here";
    Invalid "invalid" 422 "The request can be read but is not valid";
    IdempotencyKeyReused "idempotency-key-reused" 422 "The key was used with another body";
    TicketForged "ticket-forged" 422 "The ticket is not genuine";
    WrongEvent "wrong-event" 422 "The ticket is for another event";
    IfMatchRequired "if-match-required" 428 "If-Match is needed";
    TooManyRequests "too-many-requests" 429 "Too many requests";
    // Ours: the public list has no code for a bug.
    Internal "internal" 500 "Something went wrong on our side";
    Unavailable "unavailable" 503 "Not available at the moment";
    Overloaded "overloaded" 503 "Too much to do at the moment";
    PaymentPending "payment-pending" 503 "The outcome of the payment is not known yet";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldProblem {
    /// A JSON pointer into the body (`/lines/0/quantity`), `?name` for a query parameter, or the name of a header.
    #[schema(example = "/lines/0/quantity")]
    pub pointer: Cow<'static, str>,
    /// For programs: `required`, `unknown`, `type`, `range`, …
    #[schema(example = "range")]
    pub code: Cow<'static, str>,
    /// For people.
    pub detail: Cow<'static, str>,
}

/// A refusal or a failure, ready to be answered.
///
/// ```
/// use platform::http::{Code, Problem};
///
/// let problem = Problem::new(Code::Invalid).field("/quantity", "range", "from 1 to 10");
/// assert_eq!(problem.status(), 422);
/// ```
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldProblem>,
    retry_after_secs: Option<u32>,
    cause: Option<Cause>,
}

/// Why a request failed on our side: the chain of errors, for the log and never for the client. It travels as an
/// extension of the response, and the server logs it once, together with the request.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

impl Problem {
    /// A problem with this code and nothing more to say.
    pub const fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            errors: Vec::new(),
            retry_after_secs: None,
            cause: None,
        }
    }

    /// A 422 for one field; more can follow with [`Problem::field`].
    pub fn invalid(
        pointer: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Code::Invalid).field(pointer, code, detail)
    }

    /// A 500 that tells the client nothing. The error and its sources go to the log, once, with the request.
    pub fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Code::Internal).cause(error)
    }

    /// A 503: something that the request needs is away. The error and its sources go to the log.
    pub fn unavailable(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Code::Unavailable).cause(error)
    }

    /// What happened this time, for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// One more field that is wrong; see [`FieldProblem`] for the form of the pointer.
    #[must_use]
    pub fn field(
        mut self,
        pointer: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.errors.push(FieldProblem {
            pointer: pointer.into(),
            code: code.into(),
            detail: detail.into(),
        });
        self
    }

    /// When to try again, in seconds. Written with 429 and 503 even without this.
    #[must_use]
    pub const fn retry_after(mut self, secs: u32) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// Why it happened, for the log and not for the client.
    #[must_use]
    pub fn cause(mut self, error: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(Cause(chain(&error.into())));
        self
    }

    /// The code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The fields that are wrong.
    pub fn errors(&self) -> &[FieldProblem] {
        &self.errors
    }

    /// `Ok` when no field is wrong: the end of a validation that collected problems in one value.
    pub fn or_ok(self) -> Result<(), Self> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self)
        }
    }

    fn retry_after_header(&self) -> Option<u32> {
        let always = matches!(
            self.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        self.retry_after_secs
            .or(always.then_some(DEFAULT_RETRY_AFTER_SECS))
    }
}

/// The error and what caused it, in one line. `{:#}` of anyhow, but without saying a thing twice when an error's text
/// has its source's text at the end, as some libraries write it.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for part in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = part;
        } else if !text.ends_with(&part) {
            _ = write!(text, ": {part}");
        }
    }
    text
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

/// A database that is away passes; one whose answers do not fit the code is our mistake.
impl From<CqlError> for Problem {
    fn from(error: CqlError) -> Self {
        match error {
            CqlError::Connect(_) | CqlError::Execute(_) => Self::unavailable(error),
            CqlError::Prepare { .. } | CqlError::Answer(_) | CqlError::MigrationChanged(_) => {
                Self::internal(error)
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `/problems/<code>`.
    #[schema(example = "/problems/sold-out")]
    r#type: String,
    /// What it is, the same every time.
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What happened this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// For programs.
    #[schema(value_type = String, example = "sold-out")]
    code: Code,
    /// The id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldProblem],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let context = RequestContext::current();
        let body = ProblemBody {
            r#type: format!("/problems/{}", self.code),
            title: self.code.title(),
            status: status.as_u16(),
            detail: self.detail.as_deref(),
            code: self.code,
            instance: context.as_ref().map(RequestContext::request_id),
            errors: &self.errors,
        };
        let body = serde_json::to_vec(&body).expect("texts and numbers can be written as JSON");
        let mut response = (
            status,
            [
                (header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)),
                // A cache may keep a 404 even if nobody says so, and what is not there now may be there soon.
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
            body,
        )
            .into_response();
        let headers = response.headers_mut();
        if let Some(secs) = self.retry_after_header() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, challenge(self.code));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

/// How to sign in, after RFC 6750.
fn challenge(code: Code) -> HeaderValue {
    HeaderValue::from_static(match code {
        Code::TokenExpired => {
            r#"Bearer realm="ticketing", error="invalid_token", error_description="expired""#
        }
        _ => r#"Bearer realm="ticketing""#,
    })
}

#[cfg(test)]
mod tests;
