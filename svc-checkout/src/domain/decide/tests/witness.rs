//! What clients and the provider saw of a history, and what that says of it.

use std::collections::{HashMap, HashSet};

use super::*;

/// What clients and the provider saw, judged against the books and the facts.
#[derive(Default)]
pub(super) struct Witness {
    pub(super) orders: Vec<Arc<Order>>,
    pub(super) rows: HashMap<Uuid, (Status, Option<Uuid>, i64)>,
    pub(super) paid_rows: HashMap<Uuid, OrderRow>,
    pub(super) captured: HashMap<Uuid, Money>,
    pub(super) started: HashSet<Uuid>,
    /// Tickets that were given back.
    pub(super) released: HashSet<Uuid>,
    /// Orders that have the voucher, and in the end keep it.
    pub(super) uses: i64,
}

impl Witness {
    pub(super) fn see(&mut self, facts: &[Fact]) {
        for fact in facts {
            let order = match fact {
                Fact::Reserved(order) | Fact::Expired(order) | Fact::Cancelled { order, .. } => {
                    order
                }
                Fact::Confirmed(order) => {
                    let row = OrderRow::from((**order).clone());
                    self.paid_rows.insert(order.id, row);
                    order
                }
                Fact::Refunded(order) => {
                    let row = self.rows.get_mut(&order.order_id).expect("it was paid");
                    assert_eq!(row.0, Status::Paid, "only the paid is taken back");
                    assert_eq!(order.version, row.2 + 1, "versions follow each other");
                    assert_eq!(order.payment_id, row.1);
                    *row = (Status::Refunded, row.1, order.version);
                    continue;
                }
                Fact::Released(released) => {
                    let row = self.rows.get_mut(&released.order_id).expect("it was paid");
                    assert_eq!(row.0, Status::Paid, "only the paid is given back");
                    assert_eq!(released.version, row.2 + 1, "versions follow each other");
                    row.2 = released.version;
                    let is_first = self.released.insert(released.ticket.ticket_id);
                    assert!(is_first, "a ticket is given back once");
                    continue;
                }
                Fact::PaymentFailed(failed) => {
                    if let Some(row) = self.rows.get_mut(&failed.order_id) {
                        assert_eq!(failed.version, row.2 + 1, "versions follow each other");
                        row.2 = failed.version;
                    }
                    continue;
                }
                Fact::RefundDue(_) | Fact::RefundMade { .. } => continue,
            };
            let before = self.rows.get(&order.id).copied();
            let legal = matches!(
                (before.map(|row| row.0), order.status),
                (None, Status::Reserved)
                    | (Some(Status::Reserved), Status::Expired | Status::Cancelled)
                    | (Some(Status::Reserved | Status::Expired), Status::Paid)
            );
            assert!(legal, "illegal move {before:?} -> {:?}", order.status);
            self.count_use(before.map(|row| row.0), order);
            let version = before.map_or(0, |row| row.2);
            assert_eq!(order.version, version + 1, "versions follow each other");
            self.rows
                .insert(order.id, (order.status, order.payment_id, order.version));
        }
    }

    /// An order that was placed, once.
    pub(super) fn note(&mut self, decided: Result<Decision, Refusal>) {
        if let Ok(Decision {
            answer: Answer::Order(order),
            ..
        }) = decided
            && !self.orders.iter().any(|known| known.id == order.id)
        {
            self.orders.push(order);
        }
    }

    /// A use is taken with the hold and comes back with it; a refund keeps it.
    fn count_use(&mut self, before: Option<Status>, order: &Order) {
        let Some(used) = &order.voucher else { return };
        match (before, order.status) {
            (None, _) => {
                self.uses += 1;
                assert!(
                    self.uses <= used.max_uses,
                    "{} of {}",
                    self.uses,
                    used.max_uses
                );
            }
            (_, Status::Expired | Status::Cancelled) => self.uses -= 1,
            // Nobody asks whether one is left: the buyer has paid.
            (Some(Status::Expired), Status::Paid) => self.uses += 1,
            _ => {}
        }
        let sum: i64 = order.lines.iter().map(|line| line.line_total.amount).sum();
        assert_eq!(order.total.amount, sum - used.discount.amount);
    }

    pub(super) fn row(&self, order: &Order) -> Option<OrderRow> {
        let (status, payment_id, version) = *self.rows.get(&order.id)?;
        Some(OrderRow {
            version,
            ..row(order, status, payment_id)
        })
    }
}
