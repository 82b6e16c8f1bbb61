//! Where the stack under test is, from the environment that `infra/local/stack env` prints.

use std::env;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::api::Api;
use crate::mailbox::Mailbox;
use crate::records::{Reader, SeenRecord};

/// One of the four services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// svc-identity.
    Identity,
    /// svc-catalog.
    Catalog,
    /// svc-checkout.
    Checkout,
    /// svc-mailer.
    Mailer,
}

impl Service {
    /// All of them, in the order of [`Stack`]'s clients.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Catalog, Self::Checkout, Self::Mailer];

    /// Name of its program, its crate and its folder: `svc-checkout`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "svc-identity",
            Self::Catalog => "svc-catalog",
            Self::Checkout => "svc-checkout",
            Self::Mailer => "svc-mailer",
        }
    }

    const fn variables(self) -> (&'static str, &'static str) {
        match self {
            Self::Identity => ("IDENTITY_URL", "IDENTITY_ADMIN_URL"),
            Self::Catalog => ("CATALOG_URL", "CATALOG_ADMIN_URL"),
            Self::Checkout => ("CHECKOUT_URL", "CHECKOUT_ADMIN_URL"),
            Self::Mailer => ("MAILER_URL", "MAILER_ADMIN_URL"),
        }
    }
}

/// A running stack. Clones share their connections; each test makes its own, because connections live and die with
/// the runtime of the test that opened them.
#[derive(Debug, Clone)]
pub struct Stack {
    gateway: Api,
    services: [Api; 4],
    admin: [Api; 4],
    second_catalog: Api,
    second_checkout: Api,
    second_checkout_admin: Api,
    mailbox: Mailbox,
    /// Bootstrap servers.
    pub kafka_brokers: String,
    /// Base of the registry's Confluent-compatible API.
    pub schema_registry_url: String,
    /// Partitions of every topic that is split by event.
    pub event_partitions: i32,
    /// Contact points of the database.
    pub cql_nodes: String,
    /// Where mail is handed in.
    pub smtp_url: String,
    /// Under which svc-catalog is known to svc-identity.
    catalog_secret: String,
}

impl Stack {
    /// The stack that the environment names.
    ///
    /// # Panics
    /// When a variable is missing.
    pub fn from_env() -> Self {
        match Self::try_from_env() {
            Ok(stack) => stack,
            Err(error) => {
                panic!("{error}: run `make test`, which starts a stack and names it to the tests")
            }
        }
    }

    /// The stack that the environment names, for programs that have their own way to say what is missing.
    pub fn try_from_env() -> anyhow::Result<Self> {
        let mut variables = Variables::default();
        let stack = Self {
            gateway: Api::new(&variables.take("GATEWAY_URL")),
            services: Service::ALL.map(|service| Api::new(&variables.take(service.variables().0))),
            admin: Service::ALL.map(|service| Api::new(&variables.take(service.variables().1))),
            second_catalog: Api::new(&variables.take("CATALOG_2_URL")),
            second_checkout: Api::new(&variables.take("CHECKOUT_2_URL")),
            second_checkout_admin: Api::new(&variables.take("CHECKOUT_2_ADMIN_URL")),
            mailbox: Mailbox::new(&variables.take("MAILBOX_URL")),
            kafka_brokers: variables.take("KAFKA_BROKERS"),
            schema_registry_url: variables.take("SCHEMA_REGISTRY_URL"),
            event_partitions: variables
                .take("EVENT_PARTITIONS")
                .parse()
                .unwrap_or_default(),
            cql_nodes: variables.take("CQL_NODES"),
            smtp_url: variables.take("SMTP_URL"),
            catalog_secret: variables.take("SVC_CATALOG_SECRET"),
        };
        if !variables.missing.is_empty() {
            bail!(
                "no stack is named: {} not set",
                variables.missing.join(", ")
            );
        }
        if stack.event_partitions < 1 {
            bail!("EVENT_PARTITIONS is no number of partitions");
        }
        Ok(stack)
    }

    /// The public origin.
    pub fn gateway(&self) -> &Api {
        &self.gateway
    }

    /// svc-identity's own port.
    pub fn identity(&self) -> &Api {
        self.service(Service::Identity)
    }

    /// svc-catalog's own port.
    pub fn catalog(&self) -> &Api {
        self.service(Service::Catalog)
    }

    /// The port of a second svc-catalog, which only some tests start.
    pub fn second_catalog(&self) -> &Api {
        &self.second_catalog
    }

    /// svc-checkout's own port.
    pub fn checkout(&self) -> &Api {
        self.service(Service::Checkout)
    }

    /// The port of a second svc-checkout, which only some tests start.
    pub fn second_checkout(&self) -> &Api {
        &self.second_checkout
    }

    /// svc-mailer's own port.
    pub fn mailer(&self) -> &Api {
        self.service(Service::Mailer)
    }

    /// A token as svc-catalog gets it.
    pub async fn service_token(&self) -> anyhow::Result<String> {
        let body = json!({"service": "svc-catalog", "secret": self.catalog_secret});
        let call = self.identity().post("/v1/service-tokens").json(&body);
        let given = call.send().await?.expect(200)?;
        let token = given["access_token"].as_str().context("a token")?;
        Ok(token.to_owned())
    }

    /// A service's own port.
    pub fn service(&self, service: Service) -> &Api {
        &self.services[service as usize]
    }

    /// The admin port of the second svc-checkout.
    pub fn second_checkout_admin(&self) -> &Api {
        &self.second_checkout_admin
    }

    /// A service's admin port: health and metrics.
    pub fn admin_port(&self, service: Service) -> &Api {
        &self.admin[service as usize]
    }

    /// Where all mail arrives.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Reads a topic from its first record.
    pub fn records(&self, topic: &str) -> anyhow::Result<Reader> {
        Reader::from_beginning(&self.kafka_brokers, &self.schema_registry_url, topic)
    }

    /// Everything that is on a topic now.
    pub async fn all_records(&self, topic: &str) -> anyhow::Result<Vec<SeenRecord>> {
        self.records(topic)?.read_to_end().await
    }

    /// Reads a topic from here on.
    pub fn records_from_now(&self, topic: &str) -> anyhow::Result<Reader> {
        Reader::from_now(&self.kafka_brokers, &self.schema_registry_url, topic)
    }
}

/// Collects what is missing, so that it is told at once.
#[derive(Default)]
struct Variables {
    missing: Vec<&'static str>,
}

impl Variables {
    fn take(&mut self, name: &'static str) -> String {
        env::var(name).unwrap_or_else(|_| {
            self.missing.push(name);
            String::new()
        })
    }
}
