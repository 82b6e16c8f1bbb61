//! Stripe as the payment provider: our requests against Stripe's description of its API, and our behaviour against a
//! stand-in that does what Stripe does on a bad day. `make test` starts what is needed.

mod crashes;
mod fake;
mod provider;
mod refunds;
mod service;
mod shapes;
mod webhooks;
