//! What never changes of the orders that were written here last.

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use uuid::Uuid;

use crate::domain::order::Order;

/// Orders that are remembered, at most: with some 200 bytes each they outlast a hold on the busiest night.
const MAX_REMEMBERED: u64 = 100_000;

/// Of an order that which never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchase {
    /// What for.
    pub event_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
}

impl Purchase {
    pub(super) fn of(order: &Order) -> Self {
        Self {
            event_id: order.event_id,
            user_id: order.user_id,
        }
    }
}

/// The last purchases.
pub(super) struct Purchases(Cache<Uuid, Purchase>);

impl Purchases {
    pub(super) fn new() -> Self {
        // The oldest one goes. What moka would do unasked keeps that which was asked for often, and a full cache then
        // takes in no order that nobody has asked for yet, which is every new one.
        let last = Cache::builder()
            .max_capacity(MAX_REMEMBERED)
            .eviction_policy(EvictionPolicy::lru());
        Self(last.build())
    }

    pub(super) fn remember(&self, order: &Order) {
        self.insert(order.id, Purchase::of(order));
    }

    fn insert(&self, order_id: Uuid, purchase: Purchase) {
        self.0.insert(order_id, purchase);
    }

    pub(super) fn get(&self, order_id: Uuid) -> Option<Purchase> {
        self.0.get(&order_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_known_however_many_there_were() {
        let purchases = Purchases::new();
        let of = |n: u64| Purchase {
            event_id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(n.into()),
        };
        let orders = 2 * MAX_REMEMBERED;
        for n in 0..orders {
            let order_id = Uuid::from_u128(n.into());
            purchases.insert(order_id, of(n));
            // Paid at once.
            assert_eq!(purchases.get(order_id), Some(of(n)), "order {n}");
        }
        purchases.0.run_pending_tasks();
        let newest = Uuid::from_u128((orders - 1).into());
        assert_eq!(purchases.get(newest), Some(of(orders - 1)));
        assert!(purchases.0.entry_count() <= MAX_REMEMBERED);
    }
}
