//! Who takes the money.

use std::time::Duration;

use platform::config::{AppEnv, Env, LOCAL_SECRET_PREFIX, Setting};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// Where Stripe is.
const STRIPE_API_URL: &str = "https://api.stripe.com";
/// While one secret replaces another there are two; several endpoints have one each.
const MAX_WEBHOOK_SECRETS: usize = 8;

/// The payment provider (`CHECKOUT_PAYMENT_PROVIDER`). One for all instances.
#[derive(Debug)]
pub enum PaymentConfig {
    /// Nobody is charged.
    Simulated(SimulatedConfig),
    /// Stripe.
    Stripe(StripeConfig),
}

/// How much trouble the simulated provider makes. Nothing by default, and with APP_ENV=local only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SimulatedConfig {
    /// `CHECKOUT_SIMULATED_LATENCY_MS`: each of its answers takes so long.
    pub latency: Duration,
    /// `CHECKOUT_SIMULATED_FAILURES_PERCENT`: so many of 100 charges have an unknown end.
    pub failures_percent: u32,
}

/// Longer than anybody waits for a provider.
const MAX_LATENCY_MS: u64 = 60_000;

/// How Stripe is reached.
#[derive(Debug)]
pub struct StripeConfig {
    /// `CHECKOUT_STRIPE_SECRET_KEY`, of an account in live or in test mode.
    pub secret_key: SecretString,
    /// `CHECKOUT_STRIPE_WEBHOOK_SECRETS`: each is good.
    pub webhook_secrets: Vec<SecretString>,
    /// `CHECKOUT_STRIPE_API_URL`.
    pub api_url: Url,
}

#[derive(Clone, Copy)]
enum Name {
    Simulated,
    Stripe,
}

impl Setting for Name {
    const EXPECTED: &'static str = "simulated (nobody is charged) or stripe";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "simulated" => Some(Self::Simulated),
            "stripe" => Some(Self::Stripe),
            _ => None,
        }
    }
}

impl PaymentConfig {
    /// From `CHECKOUT_PAYMENT_PROVIDER`, which has no default: a shop that charges nobody should be one on purpose. The
    /// settings of Stripe are read for Stripe only.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        match env.required("CHECKOUT_PAYMENT_PROVIDER")? {
            Name::Simulated => SimulatedConfig::from_env(env).map(Self::Simulated),
            Name::Stripe => StripeConfig::from_env(env).map(Self::Stripe),
        }
    }
}

impl SimulatedConfig {
    fn from_env(env: &mut Env) -> Option<Self> {
        const LATENCY: &str = "CHECKOUT_SIMULATED_LATENCY_MS";
        const FAILURES: &str = "CHECKOUT_SIMULATED_FAILURES_PERCENT";
        let is_local = matches!(env.optional("APP_ENV"), Some(Some(AppEnv::Local)));
        let latency = env.or_in(LATENCY, 0, 0..=MAX_LATENCY_MS);
        let failures_percent = env.or_in(FAILURES, 0, 0..=100);
        let (latency, failures_percent) = (latency?, failures_percent?);
        let mut is_allowed = true;
        for (name, is_set) in [(LATENCY, latency > 0), (FAILURES, failures_percent > 0)] {
            if is_set && !is_local {
                env.reject(name, "0, or APP_ENV=local: it is for tests");
                is_allowed = false;
            }
        }
        is_allowed.then(|| Self {
            latency: Duration::from_millis(latency),
            failures_percent,
        })
    }
}

impl StripeConfig {
    fn from_env(env: &mut Env) -> Option<Self> {
        let is_local = matches!(env.optional("APP_ENV"), Some(Some(AppEnv::Local)));
        let secret_key = env.secret("CHECKOUT_STRIPE_SECRET_KEY");
        let webhook_secrets = webhook_secrets(env, is_local);
        let api_url = api_url(env, is_local);
        Some(Self {
            secret_key: secret_key?,
            webhook_secrets: webhook_secrets?,
            api_url: api_url?,
        })
    }
}

fn webhook_secrets(env: &mut Env, is_local: bool) -> Option<Vec<SecretString>> {
    const NAME: &str = "CHECKOUT_STRIPE_WEBHOOK_SECRETS";
    let listed = env.secret(NAME)?;
    let secrets: Vec<&str> = listed.expose_secret().split(',').map(str::trim).collect();
    if secrets.len() > MAX_WEBHOOK_SECRETS || secrets.contains(&"") {
        env.reject(
            NAME,
            "1 to 8 signing secrets (whsec_…) with commas between them",
        );
        return None;
    }
    // The first one was looked at with the whole.
    if !is_local
        && secrets
            .iter()
            .any(|one| one.starts_with(LOCAL_SECRET_PREFIX))
    {
        env.reject(
            NAME,
            format!("secrets of your own, none of which begins with {LOCAL_SECRET_PREFIX}"),
        );
        return None;
    }
    Some(secrets.into_iter().map(SecretString::from).collect())
}

fn api_url(env: &mut Env, is_local: bool) -> Option<Url> {
    const NAME: &str = "CHECKOUT_STRIPE_API_URL";
    let text = env.or(NAME, STRIPE_API_URL.to_owned())?;
    let url = Url::parse(&text).ok().filter(|url| {
        let is_safe = url.scheme() == "https" || is_local && url.scheme() == "http";
        is_safe && url.has_host()
    });
    if url.is_none() {
        env.reject(
            NAME,
            "a URL that begins with https:// (http:// with APP_ENV=local only: the key would be readable on the way)",
        );
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("CHECKOUT_STRIPE_SECRET_KEY", "sk_test_1");
    const SECRETS: (&str, &str) = ("CHECKOUT_STRIPE_WEBHOOK_SECRETS", "whsec_1, whsec_2");

    fn read(app_env: &str, more: &[(&str, &str)]) -> Result<PaymentConfig, Vec<(String, bool)>> {
        let base = [
            ("CHECKOUT_PAYMENT_PROVIDER", "stripe"),
            ("APP_ENV", app_env),
        ];
        let env = Env::from_map(base.into_iter().chain(more.iter().copied()));
        env.read(PaymentConfig::from_env).map_err(|error| {
            let problems = error.problems().iter();
            problems.map(|p| (p.name.clone(), p.missing)).collect()
        })
    }

    #[test]
    fn stripe_needs_a_key_and_a_secret_and_says_so_at_once() {
        let Ok(PaymentConfig::Stripe(stripe)) = read("production", &[KEY, SECRETS]) else {
            panic!("a test key does in production: that is how one tries it there");
        };
        assert_eq!(stripe.api_url.as_str(), "https://api.stripe.com/");
        let secrets: Vec<&str> = stripe
            .webhook_secrets
            .iter()
            .map(|s| s.expose_secret())
            .collect();
        assert_eq!(secrets, ["whsec_1", "whsec_2"]);
        let shown = format!("{stripe:?}");
        assert!(
            !shown.contains("sk_test") && !shown.contains("whsec"),
            "{shown}"
        );
        let missing = |name: &str| (name.to_owned(), true);
        assert_eq!(
            read("production", &[]).unwrap_err(),
            [missing(KEY.0), missing(SECRETS.0)]
        );
    }

    #[test]
    fn what_is_for_this_machine_only_stays_on_it() {
        let url = "CHECKOUT_STRIPE_API_URL";
        for (name, value) in [
            (KEY.0, "local-key"),
            (SECRETS.0, "local-secret"),
            (SECRETS.0, "whsec_1,local-secret"),
            (url, "http://127.0.0.1:12111"),
        ] {
            let settings = [KEY, SECRETS, (name, value)];
            assert_eq!(
                read("production", &settings).unwrap_err(),
                [(name.to_owned(), false)],
                "{value}"
            );
            assert!(read("local", &settings).is_ok(), "{value}");
        }
        for (name, value) in [
            (SECRETS.0, "whsec_1,,whsec_2"),
            (url, "stripe"),
            (url, "ftp://x"),
        ] {
            let wrong = read("local", &[KEY, SECRETS, (name, value)]).unwrap_err();
            assert_eq!(wrong, [(name.to_owned(), false)], "{value}");
        }
    }

    #[test]
    fn the_simulated_provider_makes_trouble_on_this_machine_only() {
        let read = |app_env: &str, more: &[(&str, &str)]| {
            let base = [
                ("CHECKOUT_PAYMENT_PROVIDER", "simulated"),
                ("APP_ENV", app_env),
            ];
            let env = Env::from_map(base.into_iter().chain(more.iter().copied()));
            let read = env.read(PaymentConfig::from_env);
            read.map_err(|error| error.problems()[0].name.clone())
        };
        let (latency, failures) = (
            ("CHECKOUT_SIMULATED_LATENCY_MS", "250"),
            ("CHECKOUT_SIMULATED_FAILURES_PERCENT", "5"),
        );
        let Ok(PaymentConfig::Simulated(none)) = read("production", &[]) else {
            panic!("a shop may charge nobody");
        };
        assert_eq!(none, SimulatedConfig::default());
        let Ok(PaymentConfig::Simulated(both)) = read("local", &[latency, failures]) else {
            panic!("both are allowed here");
        };
        assert_eq!(both.latency, Duration::from_millis(250));
        assert_eq!(both.failures_percent, 5);
        for setting in [latency, failures] {
            assert_eq!(read("production", &[setting]).unwrap_err(), setting.0);
        }
        for setting in [(latency.0, "60001"), (failures.0, "101")] {
            assert_eq!(read("local", &[setting]).unwrap_err(), setting.0);
        }
    }

    #[test]
    fn a_provider_is_named() {
        for (value, missing) in [("", true), ("paypal", false)] {
            let env = Env::from_map([("CHECKOUT_PAYMENT_PROVIDER", value)]);
            let error = env.read(PaymentConfig::from_env).unwrap_err();
            assert_eq!(error.problems()[0].missing, missing, "{error}");
            assert!(error.to_string().contains("simulated"), "{error}");
        }
    }
}
