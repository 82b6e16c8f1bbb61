//! The vouchers of catalog.inventory as a table in memory. Every instance has all of it: the door puts what it finds here
//! into the command, so that the box office decides by the command and its own count of uses alone.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::voucher::{VoucherKey, VoucherOffer};

/// A voucher that was just made, and a table that is being read, are waited for this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// The newest terms of every voucher.
pub struct VoucherTable {
    offers: RwLock<HashMap<VoucherKey, VoucherOffer>>,
    changed: watch::Sender<()>,
    caught_up: Arc<watch::Sender<bool>>,
}

/// Not everything that there was at the start has been read: terms may be old ones, and vouchers may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vouchers are still being read")]
pub struct Behind;

impl VoucherTable {
    /// An empty one, whose reader says at `caught_up` that it has read all that there was at the start.
    pub fn new(caught_up: Arc<watch::Sender<bool>>) -> Self {
        Self {
            offers: RwLock::default(),
            changed: watch::Sender::default(),
            caught_up,
        }
    }

    /// Takes terms, unless newer ones are known: the topic may be read again.
    pub fn put(&self, key: VoucherKey, offer: VoucherOffer) {
        let mut offers = self.offers.write().unwrap_or_else(PoisonError::into_inner);
        let known = offers.get(&key);
        if known.is_some_and(|known| known.version >= offer.version) {
            return;
        }
        offers.insert(key, offer);
        drop(offers);
        self.changed.send_replace(());
    }

    /// Forgets a voucher that was deleted.
    pub fn remove(&self, key: &VoucherKey) {
        let mut offers = self.offers.write().unwrap_or_else(PoisonError::into_inner);
        offers.remove(key);
    }

    /// Waits a moment until all that there was at the start has been read.
    pub async fn complete(&self) -> Result<(), Behind> {
        let mut caught_up = self.caught_up.subscribe();
        let complete = async { caught_up.wait_for(|caught_up| *caught_up).await.is_ok() };
        let complete = tokio::time::timeout(PATIENCE, complete).await;
        if complete.unwrap_or(false) {
            Ok(())
        } else {
            Err(Behind)
        }
    }

    /// What the catalog says of a voucher. Waits a moment for one that is not there: the order may have overtaken it.
    pub async fn find(&self, key: &VoucherKey) -> Result<Option<VoucherOffer>, Behind> {
        self.complete().await?;
        let mut changed = self.changed.subscribe();
        let appears = async {
            loop {
                if let Some(offer) = self.get(key) {
                    return Some(offer);
                }
                changed.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(PATIENCE, appears).await;
        Ok(found.ok().flatten())
    }

    /// What is known of it at this moment.
    pub fn get(&self, key: &VoucherKey) -> Option<VoucherOffer> {
        let offers = self.offers.read().unwrap_or_else(PoisonError::into_inner);
        offers.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::voucher::{Reduction, VoucherCode};
    use uuid::Uuid;

    fn key() -> VoucherKey {
        let code = VoucherCode::parse("EARLY").expect("a code");
        (Uuid::from_u128(1), code)
    }

    fn offer(version: i64) -> VoucherOffer {
        VoucherOffer {
            version,
            reduction: Reduction::Percent(10),
            max_uses: version,
            valid_until: None,
        }
    }

    fn complete_table() -> VoucherTable {
        VoucherTable::new(Arc::new(watch::Sender::new(true)))
    }

    #[tokio::test]
    async fn nothing_is_said_before_everything_is_read() {
        let caught_up: Arc<watch::Sender<bool>> = Arc::default();
        let table = VoucherTable::new(Arc::clone(&caught_up));
        table.put(key(), offer(1));
        assert_eq!(table.find(&key()).await, Err(Behind));
        let wanted = key();
        let (found, ()) = tokio::join!(table.find(&wanted), async {
            table.put(key(), offer(2));
            caught_up.send_replace(true);
        });
        assert_eq!(found, Ok(Some(offer(2))));
    }

    #[tokio::test]
    async fn the_newest_terms_count_until_they_are_taken_away() {
        let table = complete_table();
        for (version, newest) in [(2, 2), (1, 2), (3, 3)] {
            table.put(key(), offer(version));
            assert_eq!(table.find(&key()).await, Ok(Some(offer(newest))));
        }
        table.remove(&key());
        assert_eq!(table.get(&key()), None);
        table.put(key(), offer(1));
        assert_eq!(table.get(&key()), Some(offer(1)));
    }

    #[tokio::test]
    async fn what_comes_a_moment_later_is_found_and_what_never_comes_is_not() {
        let table = complete_table();
        let wanted = key();
        let (found, ()) = tokio::join!(table.find(&wanted), async {
            table.put((Uuid::from_u128(2), key().1), offer(1));
            tokio::task::yield_now().await;
            table.put(key(), offer(1));
        });
        assert_eq!(found, Ok(Some(offer(1))));
        let never = (Uuid::from_u128(3), key().1);
        assert_eq!(table.find(&never).await, Ok(None));
    }
}
