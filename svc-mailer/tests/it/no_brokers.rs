//! A cluster that says for a moment that it has no brokers, as one does whose only broker was fenced: the clients that all
//! services share, with a proxy between them and Kafka that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use e2e::eventually;
use platform::config::KafkaConfig;
use platform::ids::new_id;
use platform::kafka::producer::Producer;
use platform::kafka::topic_reader::TopicReader;
use tokio::time::timeout;

use crate::group::Group;
use crate::records::{World, headers};

/// Clients look every 5 s whether they have brokers; a record that cannot be sent takes as long to say so.
const DEADLINE: Duration = Duration::from_secs(30);

/// The key of a request for metadata (<https://kafka.apache.org/protocol#protocol_api_keys>).
const METADATA: i16 = 3;
/// The key of a request that is kept back: who knows the coordinator of its group asks that one, past the proxy.
const FIND_COORDINATOR: i16 = 10;
/// From this version on the request has the form that [`Answer`] reads.
const COMPACT: i16 = 9;

/// Between clients and the one broker, which it calls by its own address.
struct Proxy {
    kafka: String,
    port: u16,
    hides_brokers: AtomicBool,
    /// The clients that were told that there are none.
    told: Mutex<BTreeSet<String>>,
}

/// What was asked for and not answered yet, by its number: who asks for metadata.
type Asked = Arc<Mutex<BTreeMap<[u8; 4], String>>>;

impl Proxy {
    fn start(kafka: &str) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let proxy = Arc::new(Self {
            kafka: kafka.to_owned(),
            port: listener.local_addr()?.port(),
            hides_brokers: AtomicBool::new(false),
            told: Mutex::default(),
        });
        let this = Arc::clone(&proxy);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Err(error) = Arc::clone(&this).serve(client) {
                    tracing::error!(%error, "no connection to Kafka");
                }
            }
        });
        Ok(proxy)
    }

    fn told(&self) -> BTreeSet<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone()
    }

    fn serve(self: Arc<Self>, client: TcpStream) -> anyhow::Result<()> {
        let broker = TcpStream::connect(&self.kafka)?;
        let asked = Asked::default();
        let (asking, from, to) = (Arc::clone(&asked), client.try_clone()?, broker.try_clone()?);
        thread::spawn(move || {
            pass_on(from, to, |request| {
                let key = note(&asking, &request)?;
                Ok((key != FIND_COORDINATOR).then_some(request))
            });
        });
        thread::spawn(move || {
            pass_on(broker, client, |answer| {
                self.answer(&asked, answer).map(Some)
            });
        });
        Ok(())
    }

    fn answer(&self, asked: &Asked, answer: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let number = answer.first_chunk().context("no number")?;
        let asked_by = asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(number);
        let Some(client) = asked_by else {
            return Ok(answer);
        };
        let hides_brokers = self.hides_brokers.load(Ordering::SeqCst);
        let answer = Answer::read(&answer)?.written(self.port, hides_brokers);
        if hides_brokers {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.insert(client);
        }
        Ok(answer)
    }
}

/// Frames from one side to the other, until one of them hangs up.
fn pass_on(
    mut from: TcpStream,
    mut to: TcpStream,
    mut change: impl FnMut(Vec<u8>) -> anyhow::Result<Option<Vec<u8>>>,
) {
    let mut pass = || -> anyhow::Result<()> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length).try_into()?];
        from.read_exact(&mut frame)?;
        if let Some(frame) = change(frame)? {
            to.write_all(&u32::try_from(frame.len())?.to_be_bytes())?;
            to.write_all(&frame)?;
        }
        Ok(())
    };
    while pass().is_ok() {}
    // They may be gone already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// The key of a request, which goes on with its version, its number and the name of the client. One for metadata is taken
/// down.
fn note(asked: &Asked, request: &[u8]) -> anyhow::Result<i16> {
    let mut rest = request;
    let key = i16::from_be_bytes(take(&mut rest)?);
    let version = i16::from_be_bytes(take(&mut rest)?);
    let number = take(&mut rest)?;
    let name = usize::from(u16::from_be_bytes(take(&mut rest)?));
    if key == METADATA {
        anyhow::ensure!(version >= COMPACT, "metadata of version {version}");
        let client = std::str::from_utf8(rest.get(..name).context("no name")?)?;
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(number, client.to_owned());
    }
    Ok(key)
}

/// An answer with metadata, cut where the brokers are.
struct Answer<'a> {
    /// Number, tags, throttle time.
    before: &'a [u8],
    id: [u8; 4],
    /// Cluster, controller, topics.
    after: &'a [u8],
}

impl<'a> Answer<'a> {
    fn read(answer: &'a [u8]) -> anyhow::Result<Self> {
        let (before, mut rest) = answer.split_at_checked(9).context("too short")?;
        // Lengths are one more than they are.
        let [brokers] = take(&mut rest)?;
        anyhow::ensure!(brokers <= 2, "{brokers} is more than one broker");
        let id = take(&mut rest)?;
        let [host] = take(&mut rest)?;
        rest = rest.get(usize::from(host) - 1..).context("no host")?;
        let _port: [u8; 4] = take(&mut rest)?;
        let [rack, tags] = take(&mut rest)?;
        anyhow::ensure!((rack, tags) == (0, 0), "a rack or tags");
        Ok(Self {
            before,
            id,
            after: rest,
        })
    }

    fn written(&self, port: u16, hides_brokers: bool) -> Vec<u8> {
        let host = b"127.0.0.1";
        let mut answer = self.before.to_vec();
        if hides_brokers {
            answer.push(1);
        } else {
            answer.push(2);
            answer.extend(self.id);
            answer.push(host.len() as u8 + 1);
            answer.extend(host);
            answer.extend(i32::from(port).to_be_bytes());
            answer.extend([0, 0]);
        }
        answer.extend(self.after);
        answer
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> anyhow::Result<[u8; N]> {
    let (taken, left) = rest.split_first_chunk().context("too short")?;
    *rest = left;
    Ok(*taken)
}

#[tokio::test]
async fn clients_find_back_to_a_cluster_that_had_no_brokers_for_a_moment() -> anyhow::Result<()> {
    let world = World::new()?;
    let topic = Group::new(&world, 1).await?.topic;
    let proxy = Proxy::start(&world.stack.kafka_brokers)?;
    let kafka = KafkaConfig {
        brokers: format!("127.0.0.1:{}", proxy.port),
        event_partitions: world.stack.event_partitions,
        replication_factor: 1,
        schema_registry_url: world.stack.schema_registry_url.parse()?,
    };
    let producer = Producer::new(&kafka.brokers, "no-brokers-producer")?;
    let mut reader = TopicReader::open(&kafka, &world.registry, "no-brokers-reader", topic, 1)?;
    let sent = async || {
        let (key, headers) = (new_id(), headers("none", new_id()));
        producer.send(topic, 1, key, headers, None).await
    };
    sent().await?;
    let mut unreadable = Vec::new();
    let read = reader.read_on(async |_, _| Ok(()), &mut unreadable).await?;
    assert_eq!(read, 1);

    proxy.hides_brokers.store(true, Ordering::SeqCst);
    let all = ["no-brokers-producer", "no-brokers-reader"].map(str::to_owned);
    eventually(DEADLINE, "both to be told that there is none", async || {
        Ok((proxy.told() == BTreeSet::from(all.clone())).then_some(()))
    })
    .await?;
    proxy.hides_brokers.store(false, Ordering::SeqCst);

    eventually(DEADLINE, "a record to be sent", async || {
        Ok(sent().await.ok())
    })
    .await?;
    let read = async {
        // What the client complains of ends a reading.
        loop {
            let read = reader.read_on(async |_, _| Ok(()), &mut unreadable).await;
            if let Ok(read) = read {
                return read;
            }
        }
    };
    assert_eq!(timeout(DEADLINE, read).await?, 1);
    assert_eq!(unreadable, [""; 0]);
    Ok(())
}
