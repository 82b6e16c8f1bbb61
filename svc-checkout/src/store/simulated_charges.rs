//! The simulated provider's ledger. Lightweight transactions only.
//!
//! A lightweight transaction costs the database some ten times what a write costs. So charges lie in a few
//! partitions, and those that wait for the same one are one transaction.

use std::collections::HashSet;
use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use platform::money::{Currency, Money};
use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

/// Partitions of the ledger. Few, so that charges meet: a transaction costs nearly the same with one charge as with thirty. It
/// simulates, so that no partition becomes too large.
const BUCKETS: u8 = 4;
/// Charges in one transaction, of some 150 bytes each: of more than 5 KiB Cassandra warns (`batch_size_warn_threshold`).
const TOGETHER: usize = 32;
/// Charges that wait for a partition, at most; whoever comes then waits before the door.
const WAITING: usize = 1_024;

fn bucket(payment_id: Uuid) -> u8 {
    // The last bits are of a hash: payment ids are UUIDv5.
    let [.., last] = payment_id.into_bytes();
    last % BUCKETS
}

/// The bucket as the database knows it.
fn key(payment_id: Uuid) -> i8 {
    bucket(payment_id).cast_signed()
}

/// What became of a charge; what is written once stays, but for a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeStatus {
    /// The money was taken.
    Captured,
    /// The card said no.
    Declined,
    /// Called off before it happened.
    Voided,
    /// Taken and given back.
    Refunded,
}

impl ChargeStatus {
    fn as_str(self) -> &'static str {
        match self {
            ChargeStatus::Captured => "captured",
            ChargeStatus::Declined => "declined",
            ChargeStatus::Voided => "voided",
            ChargeStatus::Refunded => "refunded",
        }
    }

    fn parse(text: &str) -> Result<Self, CqlError> {
        [
            ChargeStatus::Captured,
            ChargeStatus::Declined,
            ChargeStatus::Voided,
            ChargeStatus::Refunded,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| CqlError::Answer(format!("charge status {text:?}")))
    }
}

/// The end of a charge that somebody wants to write.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    payment_id: Uuid,
    order_id: Uuid,
    amount: Money,
    status: ChargeStatus,
}

/// Who wants it.
type Waiter = oneshot::Sender<Result<ChargeStatus, CqlError>>;

/// Reads and writes charges.
pub struct ChargeStore {
    ledger: Arc<Ledger>,
    /// There are charges in the table of before: one that was made there is not made here as well.
    has_former: bool,
    /// Those who write the partitions, one each.
    writers: Vec<mpsc::Sender<(Wanted, Waiter)>>,
}

/// Transactions of one partition get into each other's way: one at a time.
type Turn = Arc<Mutex<()>>;

/// The statements.
struct Ledger {
    session: Arc<Session>,
    /// One for each partition.
    turns: Vec<Turn>,
    insert: PreparedStatement,
    refund: PreparedStatement,
    select: PreparedStatement,
    refund_former: PreparedStatement,
    select_former: PreparedStatement,
}

impl ChargeStore {
    /// Prepares the statements, and begins to write what is wanted.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let ledger = Arc::new(Ledger::new(session).await?);
        let writers = ledger.turns.iter().map(|turn| {
            let (writer, wanted) = mpsc::channel(WAITING);
            tokio::spawn(write(Arc::clone(&ledger), Arc::clone(turn), wanted));
            writer
        });
        let writers = writers.collect();
        Ok(Self {
            has_former: ledger.has_former().await?,
            ledger,
            writers,
        })
    }

    /// Writes the end of a charge unless it has one. Returns the end that it has.
    pub async fn settle(
        &self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
        status: ChargeStatus,
    ) -> Result<ChargeStatus, CqlError> {
        let wanted = Wanted {
            payment_id,
            order_id,
            amount,
            status,
        };
        if self.has_former
            && let Some((known, _)) = self.ledger.find_former(payment_id).await?
        {
            return Ok(known);
        }
        let gone = || CqlError::answer("whoever writes the ledger has gone");
        let (waiter, answer) = oneshot::channel();
        let writer = &self.writers[usize::from(bucket(payment_id))];
        let sent = writer.send((wanted, waiter)).await;
        sent.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Gives the money back, once. False when there is nothing to give back.
    pub async fn refund(&self, payment_id: Uuid) -> Result<bool, CqlError> {
        self.ledger.refund(payment_id).await
    }

    /// The end of a charge and its amount.
    pub async fn find(&self, payment_id: Uuid) -> Result<Option<(ChargeStatus, Money)>, CqlError> {
        self.ledger.find(payment_id).await
    }
}

/// Writes what is wanted of one partition, until nobody can want anything more.
async fn write(ledger: Arc<Ledger>, turn: Turn, mut wanted: mpsc::Receiver<(Wanted, Waiter)>) {
    let mut waiting = Vec::with_capacity(TOGETHER);
    while wanted.recv_many(&mut waiting, TOGETHER).await > 0 {
        let _turn = turn.lock().await;
        let charges: Vec<Wanted> = waiting.iter().map(|(charge, _)| *charge).collect();
        if ledger.insert_all(&charges).await {
            for (charge, waiter) in waiting.drain(..) {
                // Whoever has gone asks again.
                let _ = waiter.send(Ok(charge.status));
            }
        } else {
            for (charge, waiter) in waiting.drain(..) {
                // While the database is away each takes its time, and those behind it wait.
                if !waiter.is_closed() {
                    let _ = waiter.send(ledger.settle(charge).await);
                }
            }
        }
    }
}

impl Ledger {
    async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let lwt = async |text| cql::prepare_lwt(&session, text).await;
        Ok(Self {
            turns: (0..BUCKETS).map(|_| Turn::default()).collect(),
            insert: lwt(
                "INSERT INTO simulated_ledger (bucket, payment_id, order_id, status, amount, currency, \
                 changed_at) VALUES (?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS",
            )
            .await?,
            refund: lwt(
                "UPDATE simulated_ledger SET status = 'refunded', changed_at = ? \
                 WHERE bucket = ? AND payment_id = ? IF status = 'captured'",
            )
            .await?,
            select: cql::prepare_serial_read(
                &session,
                "SELECT status, amount, currency FROM simulated_ledger WHERE bucket = ? AND payment_id = ?",
            )
            .await?,
            refund_former: lwt(
                "UPDATE simulated_charges SET status = 'refunded', changed_at = ? \
                 WHERE payment_id = ? IF status = 'captured'",
            )
            .await?,
            select_former: cql::prepare_serial_read(
                &session,
                "SELECT status, amount, currency FROM simulated_charges WHERE payment_id = ?",
            )
            .await?,
            session,
        })
    }

    /// Writes the ends of all these charges of one partition, or none. False: none, or nobody knows. One by one they tell.
    async fn insert_all(&self, charges: &[Wanted]) -> bool {
        let mut seen = HashSet::new();
        // In one transaction the second end of a charge would not see the first.
        if charges.len() < 2 || !charges.iter().all(|charge| seen.insert(charge.payment_id)) {
            return false;
        }
        let mut batch = Batch::new(BatchType::Unlogged);
        for _ in charges {
            batch.append_statement(self.insert.clone());
        }
        let rows: Vec<_> = charges.iter().map(row).collect();
        let answer = self.session.batch(&batch, rows).await;
        let applied = answer.map_err(CqlError::from).and_then(cql::applied);
        applied.unwrap_or_else(|error| {
            tracing::warn!(%error, charges = charges.len(), "charges go one by one");
            false
        })
    }

    async fn settle(&self, charge: Wanted) -> Result<ChargeStatus, CqlError> {
        let answer = self
            .session
            .execute_unpaged(&self.insert, row(&charge))
            .await?;
        if cql::applied(answer)? {
            return Ok(charge.status);
        }
        match self.find(charge.payment_id).await? {
            Some((known, _)) => Ok(known),
            None => Err(CqlError::answer("a charge that exists and is not there")),
        }
    }

    async fn refund(&self, payment_id: Uuid) -> Result<bool, CqlError> {
        let now = Timestamp::now().as_micros();
        let values = (now, key(payment_id), payment_id);
        let turn = self.turns[usize::from(bucket(payment_id))].lock().await;
        let answer = self.session.execute_unpaged(&self.refund, values).await?;
        drop(turn);
        if cql::applied(answer)? {
            return Ok(true);
        }
        let values = (now, payment_id);
        let answer = self
            .session
            .execute_unpaged(&self.refund_former, values)
            .await?;
        if cql::applied(answer)? {
            return Ok(true);
        }
        let known = self.find(payment_id).await?;
        Ok(matches!(known, Some((ChargeStatus::Refunded, _))))
    }

    async fn find(&self, payment_id: Uuid) -> Result<Option<(ChargeStatus, Money)>, CqlError> {
        let values = (key(payment_id), payment_id);
        let row = cql::first_row::<Row>(&self.session, &self.select, values).await?;
        match row {
            Some(row) => charge_in(row).map(Some),
            None => self.find_former(payment_id).await,
        }
    }

    async fn find_former(
        &self,
        payment_id: Uuid,
    ) -> Result<Option<(ChargeStatus, Money)>, CqlError> {
        let row = cql::first_row::<Row>(&self.session, &self.select_former, (payment_id,)).await?;
        row.map(charge_in).transpose()
    }

    async fn has_former(&self) -> Result<bool, CqlError> {
        let any = "SELECT payment_id FROM simulated_charges LIMIT 1";
        let any = cql::prepare(&self.session, any).await?;
        let found = cql::first_row::<(Uuid,)>(&self.session, &any, ()).await?;
        Ok(found.is_some())
    }
}

/// Status, amount, currency.
type Row = (String, i64, String);

fn charge_in((status, amount, currency): Row) -> Result<(ChargeStatus, Money), CqlError> {
    let currency: Currency = currency.parse().map_err(CqlError::answer)?;
    Ok((ChargeStatus::parse(&status)?, Money { amount, currency }))
}

fn row(charge: &Wanted) -> (i8, Uuid, Uuid, &'static str, i64, &'_ str, i64) {
    (
        key(charge.payment_id),
        charge.payment_id,
        charge.order_id,
        charge.status.as_str(),
        charge.amount.amount,
        charge.amount.currency.as_str(),
        Timestamp::now().as_micros(),
    )
}
