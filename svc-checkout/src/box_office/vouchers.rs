//! The vouchers of catalog.inventory as a table in memory. Every instance has all of it: the door puts what it finds here
//! into the command, so that the box office decides by the command and its own count of uses alone.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::voucher::{VoucherKey, VoucherOffer};

/// A voucher that was just made is waited for this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// The newest terms of every voucher.
#[derive(Default)]
pub struct VoucherTable {
    offers: RwLock<HashMap<VoucherKey, VoucherOffer>>,
    changed: watch::Sender<()>,
}

impl VoucherTable {
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

    /// What the catalog says of a voucher. Waits a moment for one that is not there: the order may have overtaken it.
    pub async fn find(&self, key: &VoucherKey) -> Option<VoucherOffer> {
        let mut changed = self.changed.subscribe();
        let appears = async {
            loop {
                if let Some(offer) = self.get(key) {
                    return Some(offer);
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(PATIENCE, appears).await.ok().flatten()
    }

    fn get(&self, key: &VoucherKey) -> Option<VoucherOffer> {
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

    #[tokio::test]
    async fn the_newest_terms_count_until_they_are_taken_away() {
        let table = VoucherTable::default();
        for (version, newest) in [(2, 2), (1, 2), (3, 3)] {
            table.put(key(), offer(version));
            assert_eq!(table.find(&key()).await, Some(offer(newest)));
        }
        table.remove(&key());
        assert_eq!(table.get(&key()), None);
        table.put(key(), offer(1));
        assert_eq!(table.get(&key()), Some(offer(1)));
    }

    #[tokio::test]
    async fn what_comes_a_moment_later_is_found_and_what_never_comes_is_not() {
        let table = VoucherTable::default();
        let wanted = key();
        let (found, ()) = tokio::join!(table.find(&wanted), async {
            table.put((Uuid::from_u128(2), key().1), offer(1));
            tokio::task::yield_now().await;
            table.put(key(), offer(1));
        });
        assert_eq!(found, Some(offer(1)));
        let never = (Uuid::from_u128(3), key().1);
        assert_eq!(table.find(&never).await, None);
    }
}
