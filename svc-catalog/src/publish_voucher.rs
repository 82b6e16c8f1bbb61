//! What the catalog tells of vouchers: `catalog.inventory`, beside what it tells of their events.

use std::sync::Arc;

use platform::avro::Encoder;
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::cql::CqlError;
use platform::ids::derived_id;
use platform::intent::Published;
use platform::kafka::headers::RecordHeaders;
use platform::kafka::partition_of;
use platform::kafka::producer::{ProduceError, Producer};
use schemas::catalog::{VoucherTerms, voucher_key};
use schemas::{Money, Record as _};
use uuid::Uuid;

use crate::domain::voucher::{Reduction, Voucher, VoucherKey};
use crate::publish::SOURCE;
use crate::store::event::Events;
use crate::store::voucher::{StoredVoucher, Vouchers};

/// Publishes vouchers: see [`platform::intent`] for when and why.
pub struct VoucherPublication {
    /// Where the truth is.
    pub vouchers: Arc<Vouchers>,
    /// Whose vouchers they are.
    pub events: Arc<Events>,
    /// Writes the records.
    pub encoder: Encoder<VoucherTerms>,
    /// Sends them.
    pub producer: Producer,
    /// Partitions of `catalog.inventory`.
    pub event_partitions: i32,
}

/// A voucher's row, and whether anybody can use it.
pub struct Row {
    stored: StoredVoucher,
    is_live: bool,
}

impl Published for VoucherPublication {
    type Row = Row;

    /// A deleted voucher has a row still, and one of a draft that was deleted meanwhile has, too. Both are published as
    /// tombstones.
    async fn read(&self, id: Uuid) -> Result<Option<Row>, CqlError> {
        let Some(stored) = self.vouchers.find_serial(id).await? else {
            return Ok(None);
        };
        let event_id = stored.voucher.key.event_id;
        let is_live = !stored.is_deleted && self.events.find_serial(event_id).await?.is_some();
        Ok(Some(Row { stored, is_live }))
    }

    /// An event that goes is no newer version of its voucher, and what is published last must know of it. Versions are
    /// positive.
    fn version(row: &Row) -> i64 {
        let version = row.stored.voucher.version;
        if row.is_live { version } else { -version }
    }

    async fn produce(&self, _: Uuid, row: Option<&Row>) -> Result<(), ProduceError> {
        // Without a row nothing was ever told, and nobody knows the code.
        let Some(Row { stored, is_live }) = row else {
            return Ok(());
        };
        let voucher = &stored.voucher;
        let payload = is_live.then(|| self.encoder.encode(&record(voucher)));
        self.send(&voucher.key, voucher.version, payload.as_deref())
            .await
    }
}

impl VoucherPublication {
    async fn send(
        &self,
        key: &VoucherKey,
        version: i64,
        payload: Option<&[u8]>,
    ) -> Result<(), ProduceError> {
        let subject = voucher_key(key.event_id, &key.code);
        let context = RequestContext::current();
        let headers = RecordHeaders {
            id: derived_id(key.id(), &[VoucherTerms::NAME, &version.to_string()]),
            record_name: VoucherTerms::NAME,
            source: SOURCE,
            subject: &subject,
            time: Timestamp::now(),
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        let partition = partition_of(key.event_id, self.event_partitions);
        let headers = headers.to_owned_headers();
        self.producer
            .send_to(VoucherTerms::TOPIC, partition, &subject, headers, payload)
            .await
    }
}

fn record(voucher: &Voucher) -> VoucherTerms {
    let terms = &voucher.terms;
    let (percent_off, amount_off) = match terms.reduction {
        Reduction::Percent(percent) => (Some(percent), None),
        Reduction::Amount(amount) => {
            let currency = amount.currency.to_string();
            let amount = amount.amount;
            (None, Some(Money { amount, currency }))
        }
    };
    VoucherTerms {
        event_id: voucher.key.event_id,
        code: voucher.key.code.clone(),
        version: voucher.version,
        percent_off,
        amount_off,
        max_uses: terms.max_uses,
        valid_until: terms.valid_until.map(Timestamp::as_micros),
    }
}
