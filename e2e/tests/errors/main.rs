//! Every kind of refusal, through the gateway: status, media type, code and the other fields. What
//! [`e2e::Answer::expect_problem`] checks, it checks for each of them.

mod attacks;
mod orders;
mod requests;
mod tokens;
