//! How often vouchers are used, in memory, as the box office told it last.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::domain::voucher::VoucherKey;

/// Filled by [`crate::consume::checkout_stock`]: some 150 bytes for each voucher that an order ever had.
#[derive(Default)]
pub struct LiveVouchers {
    levels: RwLock<HashMap<VoucherKey, Level>>,
}

#[derive(Clone, Copy)]
struct Level {
    version: i64,
    uses: i64,
}

impl LiveVouchers {
    /// Takes a newer count over; an older one changes nothing.
    pub fn put(&self, key: VoucherKey, version: i64, uses: i64) {
        let mut levels = self.levels.write().unwrap_or_else(PoisonError::into_inner);
        let known = levels.get(&key);
        if known.is_none_or(|known| known.version < version) {
            levels.insert(key, Level { version, uses });
        }
    }

    /// Orders that have the voucher.
    pub fn uses(&self, key: &VoucherKey) -> i64 {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        levels.get(key).map_or(0, |level| level.uses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_newer_counts_count() {
        let live = LiveVouchers::default();
        let key = VoucherKey::parse(Uuid::from_u128(1), "EARLY").expect("a code");
        assert_eq!(live.uses(&key), 0);
        for (version, uses, kept) in [(2, 5, 5), (1, 9, 5), (2, 9, 5), (3, 0, 0)] {
            live.put(key.clone(), version, uses);
            assert_eq!(live.uses(&key), kept);
        }
    }
}
