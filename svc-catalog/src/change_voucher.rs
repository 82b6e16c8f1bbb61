//! How a voucher changes: as an event does, in a row of its own.

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::http::{Code, Problem};
use platform::intent::Intent;
use platform::money::Currency;
use uuid::Uuid;

use crate::app::App;
use crate::change::{DEADLINE, pause, publication_failed};
use crate::domain::voucher::{Terms, Voucher, VoucherKey};
use crate::store::voucher::StoredVoucher;

/// Vouchers of an event that are read, or published when it is deleted, at a time.
const AT_ONCE: usize = 16;

/// What shall become of a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Its terms.
    pub terms: Terms,
    /// Nobody can use it any more.
    pub is_deleted: bool,
}

impl App {
    /// Makes of the voucher what `decide` wants, publishes that and returns it; a deleted one as it was last.
    ///
    /// `decide` sees the newest version, `None` where there is none, again each time that another change came first, and
    /// changes nothing itself.
    pub async fn change_voucher(
        &self,
        key: &VoucherKey,
        decide: impl Fn(Option<&Voucher>) -> Result<Next, Problem>,
    ) -> Result<Voucher, Problem> {
        let id = key.id();
        let mut before = self.vouchers.find_serial(id).await?;
        // Most refusals end here, before anything was written.
        decide(live(before.as_ref()))?;
        let intent = self.voucher_intents.begin(id).await?;
        self.vouchers.list(key).await?;
        let started = Instant::now();
        let mut races: u32 = 0;
        let changed = loop {
            let next = match decide(live(before.as_ref())) {
                Ok(next) => next,
                Err(refusal) => {
                    self.forget_voucher(intent).await;
                    return Err(refusal);
                }
            };
            let after = after(key, before.as_ref(), next, intent);
            let failure = match self.vouchers.replace(before.as_ref(), &after).await {
                Ok(true) => break after,
                Ok(false) => None,
                Err(error) => Some(error),
            };
            if started.elapsed() >= DEADLINE {
                return Err(failure.map_or_else(contended, Problem::from));
            }
            races += 1;
            tokio::time::sleep(pause(intent.id, races)).await;
            // One that timed out may have happened: this read settles whether it has.
            before = self.vouchers.find_serial(id).await?;
            if let Some(done) = before.take_if(|stored| stored.operation_id == intent.id) {
                break done;
            }
        };
        self.settle_voucher(intent).await?;
        Ok(changed.voucher)
    }

    /// A voucher of the event that no order in this currency can have, if there is one.
    ///
    /// One that is made in the same moment as its event gets another currency is not found: that is two changes of one
    /// organizer at a time, and the box office refuses it to every order.
    pub(crate) async fn voucher_in_another(
        &self,
        event_id: Uuid,
        currency: Currency,
    ) -> Result<Option<Voucher>, Problem> {
        let codes = self.vouchers.codes(event_id, None, usize::MAX).await?;
        let found = stream::iter(codes)
            .map(|code| VoucherKey { event_id, code })
            .map(async |key| self.vouchers.find(&key).await)
            .buffered(AT_ONCE)
            .try_filter_map(async |voucher| Ok(voucher.filter(|it| !it.is_for(currency))));
        Ok(std::pin::pin!(found).try_next().await?)
    }

    /// Before an event goes: its vouchers go with it, so each has to be published once more.
    pub(crate) async fn owe_vouchers(&self, event_id: Uuid) -> Result<Vec<Intent>, Problem> {
        let codes = self.vouchers.codes(event_id, None, usize::MAX).await;
        let keys = codes?.into_iter();
        let begun = stream::iter(keys.map(|code| VoucherKey { event_id, code }.id()))
            .map(|id| self.voucher_intents.begin(id))
            .buffer_unordered(AT_ONCE);
        Ok(begun.try_collect().await?)
    }

    /// When it has gone.
    pub(crate) async fn settle_vouchers(&self, owed: Vec<Intent>) -> Result<(), Problem> {
        stream::iter(owed)
            .map(|intent| self.settle_voucher(intent))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn settle_voucher(&self, intent: Intent) -> Result<(), Problem> {
        let publication = &*self.voucher_publication;
        let settled = self.voucher_intents.settle(publication, intent).await;
        settled.map_err(publication_failed)
    }

    /// Nothing was written, so nothing is owed. Failing costs one publication too many.
    async fn forget_voucher(&self, intent: Intent) {
        if let Err(error) = self.voucher_intents.done(intent).await {
            tracing::debug!(%error, "the sweeper will forget this intent");
        }
    }
}

fn live(stored: Option<&StoredVoucher>) -> Option<&Voucher> {
    let live = stored.filter(|stored| !stored.is_deleted);
    live.map(|stored| &stored.voucher)
}

fn after(
    key: &VoucherKey,
    before: Option<&StoredVoucher>,
    next: Next,
    intent: Intent,
) -> StoredVoucher {
    StoredVoucher {
        voucher: Voucher {
            key: key.clone(),
            terms: next.terms,
            version: before.map_or(0, |stored| stored.voucher.version) + 1,
        },
        is_deleted: next.is_deleted,
        operation_id: intent.id,
    }
}

fn contended() -> Problem {
    Problem::new(Code::Overloaded).detail("too many changes of this voucher at a time")
}
