//! The table `vouchers`, owned rows written by lightweight transactions only, and the list of an event's codes.

use std::sync::Arc;

use futures::TryStreamExt as _;
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use platform::money::Money;
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use crate::domain::voucher::{Reduction, Terms, Voucher, VoucherKey};

const COLUMNS: &str = "event_id, code, version, operation_id, deleted, percent_off, amount_off, currency, max_uses, \
     valid_until";

/// A voucher as it is stored.
#[derive(Debug, Clone)]
pub struct StoredVoucher {
    /// The voucher; a deleted one with its last terms.
    pub voucher: Voucher,
    /// Nobody can use it any more.
    pub is_deleted: bool,
    /// The change that made this version.
    pub operation_id: Uuid,
}

impl StoredVoucher {
    /// The voucher, unless it was deleted.
    pub fn live(self) -> Option<Voucher> {
        (!self.is_deleted).then_some(self.voucher)
    }
}

/// Reads and changes vouchers.
pub struct Vouchers {
    session: Arc<Session>,
    versions: PreparedStatement,
    find: PreparedStatement,
    find_serial: PreparedStatement,
    insert: PreparedStatement,
    update: PreparedStatement,
    list_code: PreparedStatement,
    count_codes: PreparedStatement,
    codes: PreparedStatement,
    codes_after: PreparedStatement,
}

impl Vouchers {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let find = format!("SELECT {COLUMNS} FROM vouchers WHERE voucher_id = ?");
        let insert = format!(
            "INSERT INTO vouchers ({COLUMNS}, voucher_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"
        );
        let update = "UPDATE vouchers SET version = ?, operation_id = ?, deleted = ?, percent_off = ?, amount_off = ?, \
             currency = ?, max_uses = ?, valid_until = ? WHERE voucher_id = ? IF version = ?";
        let codes = "SELECT code FROM voucher_codes WHERE event_id = ?";
        let prepare = async |text: &str| cql::prepare(&session, text).await;
        Ok(Self {
            versions: prepare("SELECT event_id, code, version, deleted FROM vouchers").await?,
            find: prepare(&find).await?,
            find_serial: cql::prepare_serial_read(&session, &find).await?,
            insert: cql::prepare_lwt(&session, &insert).await?,
            update: cql::prepare_lwt(&session, update).await?,
            list_code: prepare("INSERT INTO voucher_codes (event_id, code) VALUES (?, ?)").await?,
            count_codes: prepare("SELECT COUNT(*) FROM voucher_codes WHERE event_id = ?").await?,
            codes: prepare(&format!("{codes} LIMIT ?")).await?,
            codes_after: prepare(&format!("{codes} AND code > ? LIMIT ?")).await?,
            session,
        })
    }

    /// The voucher, with every change that was answered; `None` also for a deleted one.
    pub async fn find(&self, key: &VoucherKey) -> Result<Option<Voucher>, CqlError> {
        let stored = self.read(&self.find, key.id()).await?;
        Ok(stored.and_then(StoredVoucher::live))
    }

    /// The row with this id, with every change that will ever have happened before this read: one that timed out is in it
    /// or never will be.
    pub async fn find_serial(&self, id: Uuid) -> Result<Option<StoredVoucher>, CqlError> {
        self.read(&self.find_serial, id).await
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        id: Uuid,
    ) -> Result<Option<StoredVoucher>, CqlError> {
        let row = cql::first_row(&self.session, statement, (id,)).await?;
        row.map(VoucherRow::into_stored).transpose()
    }

    /// The version of every voucher that there is; of a deleted one `None`. It goes through the whole table, page by page.
    pub async fn versions(&self) -> Result<Vec<(VoucherKey, Option<i64>)>, CqlError> {
        type Row = (Uuid, String, i64, bool);
        let rows = self.session.execute_iter(self.versions.clone(), ()).await;
        let rows = rows
            .map_err(CqlError::answer)?
            .rows_stream::<Row>()
            .map_err(CqlError::answer)?;
        let version = |(event_id, code, version, is_deleted): Row| {
            let version = Some(version).filter(|_| !is_deleted);
            (VoucherKey { event_id, code }, version)
        };
        rows.map_ok(version)
            .try_collect()
            .await
            .map_err(CqlError::answer)
    }

    /// Notes that the event has this code. Before the voucher is written.
    pub async fn list(&self, key: &VoucherKey) -> Result<(), CqlError> {
        let values = (key.event_id, &key.code);
        self.session
            .execute_unpaged(&self.list_code, values)
            .await?;
        Ok(())
    }

    /// How many codes the event has or ever had.
    pub async fn count(&self, event_id: Uuid) -> Result<i64, CqlError> {
        let row = cql::first_row(&self.session, &self.count_codes, (event_id,)).await?;
        let (count,) = row.ok_or_else(|| CqlError::answer("a count without a row"))?;
        Ok(count)
    }

    /// Codes that the event has or ever had, in their order, from behind `after` on.
    pub async fn codes(
        &self,
        event_id: Uuid,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let session = &self.session;
        let rows = match after {
            None => cql::rows(session, &self.codes, (event_id, limit)).await?,
            Some(after) => cql::rows(session, &self.codes_after, (event_id, after, limit)).await?,
        };
        Ok(rows.into_iter().map(|(code,)| code).collect())
    }

    /// Writes `after` where `before` was: nothing, or the version before it. False: there is something else by now.
    pub async fn replace(
        &self,
        before: Option<&StoredVoucher>,
        after: &StoredVoucher,
    ) -> Result<bool, CqlError> {
        let StoredVoucher {
            voucher,
            is_deleted,
            operation_id,
        } = after;
        let (key, terms) = (&voucher.key, &voucher.terms);
        let (percent_off, amount_off) = match terms.reduction {
            Reduction::Percent(percent) => (Some(percent), None),
            Reduction::Amount(amount) => (None, Some(amount)),
        };
        let amount = amount_off.map(|off| off.amount);
        let currency = amount_off.map(|off| off.currency.to_string());
        let valid_until = terms.valid_until.map(Timestamp::as_micros);
        let answer = match before {
            None => {
                let values = (
                    key.event_id,
                    &key.code,
                    voucher.version,
                    operation_id,
                    is_deleted,
                    percent_off,
                    amount,
                    currency,
                    terms.max_uses,
                    valid_until,
                    key.id(),
                );
                self.session.execute_unpaged(&self.insert, values).await?
            }
            Some(before) => {
                let values = (
                    voucher.version,
                    operation_id,
                    is_deleted,
                    percent_off,
                    amount,
                    currency,
                    terms.max_uses,
                    valid_until,
                    key.id(),
                    before.voucher.version,
                );
                self.session.execute_unpaged(&self.update, values).await?
            }
        };
        cql::applied(answer)
    }
}

#[derive(DeserializeRow)]
struct VoucherRow {
    event_id: Uuid,
    code: String,
    version: i64,
    operation_id: Uuid,
    deleted: bool,
    percent_off: Option<i64>,
    amount_off: Option<i64>,
    currency: Option<String>,
    max_uses: i64,
    valid_until: Option<i64>,
}

impl VoucherRow {
    fn into_stored(self) -> Result<StoredVoucher, CqlError> {
        let reduction = match (self.percent_off, self.amount_off, self.currency) {
            (Some(percent), None, None) => Reduction::Percent(percent),
            (None, Some(amount), Some(currency)) => Reduction::Amount(Money::new(
                amount,
                currency.parse().map_err(CqlError::answer)?,
            )),
            _ => return Err(CqlError::answer("a voucher without one reduction")),
        };
        Ok(StoredVoucher {
            voucher: Voucher {
                key: VoucherKey {
                    event_id: self.event_id,
                    code: self.code,
                },
                terms: Terms {
                    reduction,
                    max_uses: self.max_uses,
                    valid_until: self.valid_until.map(Timestamp::from_micros),
                },
                version: self.version,
            },
            is_deleted: self.deleted,
            operation_id: self.operation_id,
        })
    }
}
