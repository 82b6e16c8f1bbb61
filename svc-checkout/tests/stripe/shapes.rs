//! Our requests against Stripe's own description of its API: stripe-mock refuses a field that the API does not have and
//! answers with what it may answer. It keeps nothing, so it says nothing of behaviour.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use e2e::Api;
use platform::ids::new_id;
use platform::money::{Currency, Money};
use svc_checkout::payment::stripe::client::Client;

/// stripe-mock takes any key that looks like one.
const MOCK_KEY: &str = "sk_test_123";

/// A running stripe-mock.
struct StripeMock {
    process: Child,
    url: String,
}

impl Drop for StripeMock {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl StripeMock {
    fn start() -> anyhow::Result<Self> {
        let program = std::env::var("STRIPE_MOCK").context(
            "STRIPE_MOCK does not say where stripe-mock is: run `make test`, which builds it",
        )?;
        let mut process = Command::new(&program)
            .args(["-http-addr", "127.0.0.1:"])
            .stdout(Stdio::piped())
            .spawn()
            .context(program)?;
        let output = process.stdout.take().context("its output")?;
        let mut running = Self {
            process,
            url: String::new(),
        };
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next().transpose()? {
            if let Some((_, address)) = line.split_once("Listening for HTTP at address: ") {
                running.url = format!("http://{address}");
                // It goes on writing, and a pipe that nobody reads would stop it.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(running);
            }
        }
        bail!("stripe-mock does not listen")
    }
}

#[tokio::test]
async fn stripe_knows_every_field_that_we_send() -> anyhow::Result<()> {
    let mock = StripeMock::start()?;
    let client = Client::new(mock.url.parse()?, MOCK_KEY.into())?;
    let (payment_id, order_id) = (new_id(), new_id());
    let amount = Money::new(2_500, Currency::EUR);

    let intent = client.create_intent(payment_id, order_id, amount).await?;
    client
        .confirm_intent(payment_id, &intent.id, "pm_card_visa")
        .await?;
    client.intent(&intent.id).await?;
    client.cancel_intent(&intent.id).await?;
    client.create_refund(payment_id, &intent.id, 0).await?;
    client.refunds(&intent.id).await?;
    Ok(())
}

/// Else the test above would prove nothing.
#[tokio::test]
async fn stripe_mock_would_notice() -> anyhow::Result<()> {
    let mock = StripeMock::start()?;
    let api = Api::new(&mock.url);
    for (path, form) in [
        ("/v1/payment_intents", "amount=2500"),
        (
            "/v1/payment_intents",
            "amount=2500&currency=eur&card=4242424242424242",
        ),
        (
            "/v1/payment_intents/pi_1/confirm",
            "error_on_requires_actions=true",
        ),
        (
            "/v1/payment_intents/pi_1/cancel",
            "cancellation_reason=late",
        ),
    ] {
        let call = api.post(path).token(MOCK_KEY);
        let answer = call.body("application/x-www-form-urlencoded", form).send();
        answer.await?.expect(400)?;
    }
    Ok(())
}
