//! Clients that are kept from losing their brokers for good.
//!
//! A broker that stood still for longer than its session with the controller (9 s) is fenced when it goes on, for some tens
//! of milliseconds. Who asks for metadata then is told that there are topics and no brokers, and librdkafka (2.10 to 2.13)
//! drops all it knew and knows nobody any more whom it could ask: it neither sends nor receives until the process ends, and
//! says nothing of it (<https://github.com/confluentinc/librdkafka/issues/5301>). `metadata.recovery.strategy` does not help:
//! it begins with a request that cannot be sent. So each client is asked for metadata every few seconds, and one that has
//! none is told the bootstrap servers again. For one whose broker is really away that changes nothing.

use std::ffi::CString;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::Client;
use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{Partitioner, Producer, ProducerContext};

/// How long a client may be without brokers before it is noticed, besides the time for the question.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A broker that answers needs some milliseconds. As long as nobody answers, whoever drops a client waits for this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Every cluster has it and clients know its name; what the answer says of it, also that we may not see it, is of no interest.
const ANY_TOPIC: &str = "__consumer_offsets";

/// A client that is told the bootstrap servers again when it has lost its brokers, for as long as it lives.
pub struct Watched<T> {
    entry: Arc<Entry>,
    client: Arc<T>,
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Watches a consumer that was made for `brokers`.
    pub fn consumer<C>(brokers: &str, consumer: T) -> Result<Self, KafkaError>
    where
        T: Consumer<C>,
        C: ConsumerContext,
    {
        Self::new(brokers, consumer, |consumer, servers| {
            look_after(consumer.client(), servers);
        })
    }

    /// Watches a producer that was made for `brokers`.
    pub fn producer<C, P>(brokers: &str, producer: T) -> Result<Self, KafkaError>
    where
        T: Producer<C, P>,
        C: ProducerContext<P>,
        P: Partitioner,
    {
        Self::new(brokers, producer, |producer, servers| {
            look_after(producer.client(), servers);
        })
    }

    fn new(brokers: &str, client: T, look: fn(&T, &CString)) -> Result<Self, KafkaError> {
        let servers = CString::new(brokers)?;
        let client = Arc::new(client);
        let watched = Arc::clone(&client);
        let entry = Arc::new(Entry(Mutex::new(Some(Box::new(move || {
            look(&watched, &servers);
        })))));
        watch(&entry);
        Ok(Self { entry, client })
    }
}

impl<T> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.client
    }
}

impl<T> Drop for Watched<T> {
    /// Lets go of the client first: it ends on this thread, and now.
    fn drop(&mut self) {
        self.entry.lock().take();
    }
}

type Look = Box<dyn Fn() + Send>;

/// A client as its watcher sees it; `None` once it is dropped.
struct Entry(Mutex<Option<Look>>);

impl Entry {
    fn lock(&self) -> MutexGuard<'_, Option<Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static WATCHED: Mutex<Vec<Weak<Entry>>> = Mutex::new(Vec::new());

/// Looks after a client from now on, on a thread that all clients of the process share: the questions block.
fn watch(entry: &Arc<Entry>) {
    static THREAD: Once = Once::new();
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    watched.push(Arc::downgrade(entry));
    THREAD.call_once(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(LOOK_EVERY);
                look_at_all();
            }
        });
    });
}

fn look_at_all() {
    let all = {
        let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|entry| entry.strong_count() > 0);
        watched.clone()
    };
    for entry in all.iter().filter_map(Weak::upgrade) {
        if let Some(look) = entry.lock().as_ref() {
            look();
        }
    }
}

fn look_after<C: ClientContext>(client: &Client<C>, servers: &CString) {
    if let Err(error) = client.fetch_metadata(Some(ANY_TOPIC), ANSWER_TIMEOUT) {
        tracing::debug!(%error, "a client without brokers is told the bootstrap servers again");
        metrics::counter!("kafka_clients_bootstrapped_again_total").increment(1);
        tell(client, servers);
    }
}

#[expect(
    unsafe_code,
    reason = "librdkafka has the call for this and rdkafka does not hand it on"
)]
fn tell<C: ClientContext>(client: &Client<C>, servers: &CString) {
    // SAFETY: the client is borrowed and so not destroyed, the call may come from any thread, and it copies the string, which
    // ends with a zero.
    unsafe { rd_kafka_brokers_add(client.native_ptr(), servers.as_ptr()) };
}
