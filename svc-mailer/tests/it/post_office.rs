//! An instance of the service without its consumers: a test hands it its causes, and counts. The database and the topics
//! are the stack's; the mail server is in this process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use platform::clock::Timestamp;
use platform::config::Env;
use platform::ids::new_id;
use platform::money::{Currency, Money};
use platform::vault::Vault;
use scylla::client::session::Session;
use secrecy::SecretBox;
use svc_mailer::announce::Announcer;
use svc_mailer::config::SmtpConfig;
use svc_mailer::delivery::{Delivery, Pace};
use svc_mailer::domain::cause::Cause;
use svc_mailer::domain::event::Event;
use svc_mailer::domain::notification::Holder;
use svc_mailer::domain::order::PaidOrder;
use svc_mailer::domain::recipient::Recipient;
use svc_mailer::render::Renderer;
use svc_mailer::smtp::Smtp;
use svc_mailer::store::announced::Announced;
use svc_mailer::store::event::Events;
use svc_mailer::store::notification::Notifications;
use svc_mailer::store::notification_list::NotificationLists;
use svc_mailer::store::recipient::Recipients;
use tokio_util::task::TaskTracker;

use crate::records::World;

/// A mail server that takes everything.
pub(crate) struct MailServer {
    address: String,
    seen: Arc<Seen>,
}

struct Seen {
    message_ids: Mutex<Vec<String>>,
    inside: AtomicUsize,
    most: AtomicUsize,
    /// So many must be handed over at the same time before one is taken.
    together: usize,
    open: Mutex<bool>,
    opened: Condvar,
}

impl MailServer {
    /// It takes no mail before `together` are handed over at the same time, and all from then on.
    pub(crate) fn start(together: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let seen = Arc::new(Seen {
            message_ids: Mutex::default(),
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            together,
            open: Mutex::default(),
            opened: Condvar::new(),
        });
        let server = Self {
            address,
            seen: Arc::clone(&seen),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || seen.serve(stream));
            }
        });
        Ok(server)
    }

    /// The Message-ID of every mail that was taken.
    pub(crate) fn message_ids(&self) -> Vec<String> {
        let seen = self.seen.message_ids.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Mails that were handed over at the same time, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }
}

impl Seen {
    /// Waits for the gate, which opens when so many are `inside`.
    fn pass(&self, inside: usize) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if inside >= self.together {
            *open = true;
            self.opened.notify_all();
        }
        while !*open {
            open = self
                .opened
                .wait(open)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        write!(stream, "220 ready\r\n")?;
        while let Some(line) = lines.next().transpose()? {
            if line != "DATA" {
                write!(stream, "250 fine\r\n")?;
                continue;
            }
            write!(stream, "354 go on\r\n")?;
            let mut message_id = String::new();
            while let Some(line) = lines.next().transpose()?.filter(|line| line != ".") {
                if let Some(id) = line.strip_prefix("Message-ID: ") {
                    id.clone_into(&mut message_id);
                }
            }
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            self.pass(inside);
            let seen = self.message_ids.lock();
            seen.unwrap_or_else(PoisonError::into_inner)
                .push(message_id);
            self.inside.fetch_sub(1, Ordering::SeqCst);
            write!(stream, "250 queued\r\n")?;
        }
        Ok(())
    }
}

/// An instance of the service.
pub(crate) struct Office {
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) database: Arc<Session>,
}

impl Office {
    /// One more boot of the instance that is called so.
    pub(crate) async fn open(
        world: &World,
        instance: &str,
        server: &MailServer,
        mails_at_once: usize,
    ) -> anyhow::Result<Self> {
        let database = world.database().await?;
        let smtp = [
            ("SMTP_URL", format!("smtp://{}", server.address)),
            ("MAIL_FROM", "tickets@example.com".into()),
        ];
        let delivery = Delivery {
            holder: Holder {
                instance: instance.into(),
                boot: new_id(),
            },
            notifications: Notifications::new(Arc::clone(&database)).await?,
            lists: NotificationLists::new(Arc::clone(&database)).await?,
            announced: Announced::new(Arc::clone(&database)).await?,
            recipients: Recipients::new(Arc::clone(&database)).await?,
            events: Events::new(Arc::clone(&database)).await?,
            vault: Vault::new(&SecretBox::new(Box::new([7; 32])))?,
            renderer: Renderer::new("http://localhost".parse()?)?,
            smtp: Smtp::new(&Env::from_map(smtp).read(SmtpConfig::from_env)?),
            announcer: Announcer::new(
                world.producer.clone(),
                &world.registry,
                world.stack.event_partitions,
            )
            .await?,
            pace: Pace::new(mails_at_once),
            in_hand: TaskTracker::new(),
        };
        Ok(Self {
            delivery: Arc::new(delivery),
            database,
        })
    }

    /// Requests to the database so far.
    pub(crate) fn requests(&self) -> u64 {
        self.database.get_metrics().get_requests_unpaged_num()
    }

    /// Somebody has paid for an order, and all is known that the mail about it says.
    pub(crate) async fn paid(&self) -> anyhow::Result<PaidOrder> {
        let recipient = Recipient {
            user_id: new_id(),
            version: 1,
            name: "Zoë".into(),
            email: e2e::users::fresh_email("office"),
            locale: "en".into(),
            wished: None,
            former: Vec::new(),
        };
        let event = Event {
            id: new_id(),
            version: 1,
            name: "Nuit & Jour".into(),
            venue_name: "L'Olympia".into(),
            venue_city: "Paris".into(),
            venue_address: "28 bd des Capucines".into(),
            starts_at: Timestamp::now(),
            time_zone: "Europe/Paris".into(),
        };
        self.delivery.recipients.put(&recipient).await?;
        self.delivery.events.put(&event).await?;
        Ok(PaidOrder {
            id: new_id(),
            event_id: event.id,
            user_id: recipient.user_id,
            number: "O-ABCDEFGHJK".into(),
            tickets: Vec::new(),
            voucher: None,
            total: Money::zero(Currency::EUR),
        })
    }
}

/// What a mail about `order` is about.
pub(crate) fn about(order: &PaidOrder) -> Cause {
    Cause::PaymentConfirmed(order.clone())
}
