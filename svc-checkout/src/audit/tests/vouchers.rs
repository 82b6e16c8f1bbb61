//! What an auditor must say of vouchers that are not in order.

use std::collections::BTreeSet;

use schemas::catalog::VoucherTerms;
use schemas::checkout::{UsedVoucher, VoucherLevel};

use super::sale::{EVENT, NOW, SECOND, Sale, euros, order};
use crate::audit::ledger::Entry;
use crate::audit::report::Promise::{self, *};

const CODE: &str = "EARLY";
const DISCOUNT: i64 = 500;

fn terms() -> VoucherTerms {
    VoucherTerms {
        event_id: EVENT,
        code: CODE.to_owned(),
        version: 1,
        percent_off: Some(20),
        amount_off: None,
        max_uses: 2,
        valid_until: Some(15 * SECOND),
    }
}

fn have_voucher(entries: &mut [Entry]) {
    for terms in entries.iter_mut().filter_map(|entry| entry.terms.as_mut()) {
        terms.total.amount -= DISCOUNT;
        terms.voucher = Some(UsedVoucher {
            code: CODE.to_owned(),
            version: 1,
            max_uses: 2,
            discount: euros(DISCOUNT),
        });
    }
}

impl Sale {
    fn entries(&mut self, n: u128) -> &mut Vec<Entry> {
        self.ledger.orders.get_mut(&order(n)).unwrap()
    }

    fn voucher(&mut self, n: u128, index: usize) -> &mut UsedVoucher {
        let terms = self.entry(n, index).terms.as_mut().unwrap();
        terms.voucher.as_mut().unwrap()
    }

    fn counted(&mut self, uses: i64) {
        let level = VoucherLevel {
            event_id: EVENT,
            code: CODE.to_owned(),
            version: 4,
            uses,
            at: NOW,
        };
        let key = (EVENT, CODE.to_owned());
        self.ledger.voucher_levels.insert(key, level);
    }

    /// The first two orders have the voucher. The second one gets it twice: it was paid after its end. A refund keeps it.
    fn with_vouchers() -> Self {
        let mut sale = Self::in_order();
        sale.ledger.vouchers.insert(EVENT, vec![terms()]);
        for n in [1, 2] {
            have_voucher(sale.entries(n));
            sale.charged(n).amount -= DISCOUNT;
        }
        sale.ledger.due[0].amount.amount -= DISCOUNT;
        sale.counted(2);
        sale
    }
}

#[test]
fn vouchers_in_order_are_left_in_peace() {
    assert_eq!(Sale::with_vouchers().judge().0, []);
}

#[test]
fn what_the_catalog_has_deleted_is_judged_by_the_orders_alone() {
    let mut sale = Sale::with_vouchers();
    sale.ledger.vouchers.clear();
    assert_eq!(sale.judge().0, []);
}

#[test]
fn each_disorder_of_a_voucher_is_seen() {
    type Spoil = fn(&mut Sale);
    let table: &[(&str, Spoil, &[Promise])] = &[
        (
            "one order too many has it",
            |s| {
                s.ledger.vouchers.clear();
                have_voucher(s.entries(4));
                s.counted(3);
            },
            &[VouchersKept],
        ),
        (
            "it is over",
            |s| {
                s.ledger.vouchers.get_mut(&EVENT).unwrap()[0].valid_until = Some(SECOND);
            },
            &[VouchersKept],
        ),
        (
            "it takes off less than it says",
            |s| s.ledger.vouchers.get_mut(&EVENT).unwrap()[0].percent_off = Some(21),
            &[VouchersKept],
        ),
        (
            "it could be had more often than it says",
            |s| {
                for entry in s
                    .entries(1)
                    .iter_mut()
                    .filter_map(|entry| entry.terms.as_mut())
                {
                    entry.voucher.as_mut().unwrap().max_uses = 3;
                }
            },
            &[VouchersKept],
        ),
        (
            "it is not taken off the total",
            |s| {
                for terms in s
                    .entries(1)
                    .iter_mut()
                    .filter_map(|entry| entry.terms.as_mut())
                {
                    terms.total = euros(2_500);
                }
                s.charged(1).amount = 2_500;
            },
            &[MoneyConserved],
        ),
        (
            "the order loses it",
            |s| s.voucher(1, 0).code = "LATE".to_owned(),
            &[LegalMoves, VouchersKept],
        ),
        (
            "its uses are counted otherwise",
            |s| s.counted(1),
            &[VouchersKept],
        ),
        (
            "nobody counts its uses",
            |s| s.ledger.voucher_levels.clear(),
            &[VouchersKept],
        ),
    ];
    for (name, spoil, expected) in table {
        let mut sale = Sale::with_vouchers();
        spoil(&mut sale);
        let found = sale.judge();
        let expected: BTreeSet<Promise> = expected.iter().copied().collect();
        assert_eq!(found.promises(), expected, "{name}: {found:?}");
    }
}
