//! A small sale that is in order.

use platform::kafka::topic_reader::Place;
use schemas::catalog::{EventInventory, EventStatus, TicketTypeInventory};
use schemas::checkout::{
    EndReason, IssuedTicket, OrderLine, PaymentRefundDue, PaymentRefunded, StockLevel,
    TicketTypeStock,
};
use schemas::{Micros, Money};
use serde_json::json;
use uuid::Uuid;

use crate::audit::charges::{Charge, ChargeStatus, Charges};
use crate::audit::clients::History;
use crate::audit::ledger::{Entry, Ledger, Released, Step, Terms};
use crate::audit::report::Found;
use crate::audit::{money, orders, stock, vouchers};

pub(super) const EVENT: Uuid = Uuid::from_u128(1);
const TYPE: Uuid = Uuid::from_u128(2);
const BUYER: Uuid = Uuid::from_u128(3);
pub(super) const SECOND: Micros = 1_000_000;
const HOLD: Micros = 10 * SECOND;
const PRICE: i64 = 2_500;
/// Long after everything, and not so long that the hold of order 4 would have to be over.
pub(super) const NOW: Micros = 980 * SECOND;

/// The topics and the provider's ledger of a sale, and its clients' history.
pub(super) struct Sale {
    pub(super) ledger: Ledger,
    pub(super) charges: Charges,
    pub(super) history: Vec<serde_json::Value>,
    offset: i64,
    number: i64,
}

pub(super) fn order(n: u128) -> Uuid {
    Uuid::from_u128(0x1000 + n)
}

pub(super) fn payment(n: u128) -> Uuid {
    Uuid::from_u128(0x2000 + n)
}

pub(super) fn euros(amount: i64) -> Money {
    Money {
        amount,
        currency: "EUR".to_owned(),
    }
}

/// For an order, by the simulated provider.
pub(super) fn a_charge(n: u128, status: ChargeStatus, changed_at: Micros) -> Charge {
    Charge {
        order_id: order(n),
        status,
        amount: PRICE,
        currency: "EUR".to_owned(),
        changed_at,
        is_our_note: false,
    }
}

impl Sale {
    pub(super) fn step(&mut self, n: u128, step: Step, at: Micros) -> &mut Entry {
        let id = order(n);
        self.offset += 1;
        let known = self.ledger.orders.get(&id).map_or(0, Vec::len);
        let reserved_at = self
            .ledger
            .orders
            .get(&id)
            .map_or(at, |entries| entries[0].at);
        let mut tickets = Vec::new();
        if step == Step::Confirmed {
            self.number += 1;
            tickets.push(IssuedTicket {
                ticket_id: Uuid::from_u128(0x3000 + self.number.unsigned_abs() as u128),
                number: self.number,
                ticket_type_id: TYPE,
                kind: "general".to_owned(),
                price: euros(PRICE),
            });
        }
        let is_payment = matches!(step, Step::Confirmed | Step::Failed);
        let tells_terms = !matches!(step, Step::Failed | Step::Released);
        let released = (step == Step::Released).then(|| Released {
            ticket_id: self.ticket(n),
            ticket_type_id: TYPE,
        });
        let entry = Entry {
            place: Place {
                topic: if is_payment { "payments" } else { "orders" },
                partition: 0,
                offset: self.offset,
            },
            step,
            event_id: EVENT,
            user_id: BUYER,
            version: known as i64 + 1,
            at,
            terms: tells_terms.then(|| Terms {
                lines: vec![OrderLine {
                    ticket_type_id: TYPE,
                    quantity: 1,
                    unit_price: euros(PRICE),
                    line_total: euros(PRICE),
                }],
                total: euros(PRICE),
                voucher: None,
                reserved_at,
            }),
            payment_id: matches!(step, Step::Confirmed | Step::Failed | Step::Refunded)
                .then(|| payment(n)),
            number: tells_terms.then(|| format!("O-{n}")),
            reason: matches!(step, Step::Cancelled | Step::Refunded).then_some(EndReason::Asked),
            tickets,
            released,
            expires_at: (step == Step::Reserved).then_some(at + HOLD),
            fingerprint: Vec::new(),
        };
        self.ledger.add(id, entry);
        self.entry(n, known)
    }

    /// The ticket of an order.
    pub(super) fn ticket(&self, n: u128) -> Uuid {
        let entries = self.ledger.orders.get(&order(n)).into_iter().flatten();
        let mut tickets = entries.flat_map(|entry| &entry.tickets);
        tickets
            .next()
            .map_or(Uuid::nil(), |ticket| ticket.ticket_id)
    }

    pub(super) fn entry(&mut self, n: u128, index: usize) -> &mut Entry {
        &mut self.ledger.orders.get_mut(&order(n)).unwrap()[index]
    }

    pub(super) fn charge(
        &mut self,
        n: u128,
        status: ChargeStatus,
        changed_at: Micros,
    ) -> &mut Charge {
        self.charges
            .replace(payment(n), a_charge(n, status, changed_at));
        self.charged(n)
    }

    /// The charge of an order.
    pub(super) fn charged(&mut self, n: u128) -> &mut Charge {
        self.charges.get_mut(payment(n)).unwrap()
    }

    pub(super) fn due(&mut self, n: u128, at: Micros) {
        self.ledger.due.push(PaymentRefundDue {
            order_id: order(n),
            event_id: EVENT,
            payment_id: payment(n),
            amount: euros(PRICE),
            due_at: at,
        });
    }

    pub(super) fn paid_back(&mut self, n: u128, at: Micros) {
        self.ledger.refunded.push(PaymentRefunded {
            order_id: order(n),
            event_id: EVENT,
            payment_id: payment(n),
            amount: euros(PRICE),
            refunded_at: at,
        });
    }

    pub(super) fn level(&mut self, version: i64, at: Micros, held: i64, sold: i64) {
        let level = StockLevel {
            event_id: EVENT,
            version,
            ticket_types: vec![TicketTypeStock {
                ticket_type_id: TYPE,
                quantity: 2,
                held,
                sold,
                free: 2 - held - sold,
            }],
            at,
        };
        self.ledger.stock.entry(EVENT).or_default().push(level);
    }

    /// A request with its answer, in the fields of a history.
    pub(super) fn asked(
        &mut self,
        kind: &str,
        key: &str,
        order_id: Option<Uuid>,
        phase: &str,
        answered: Option<Uuid>,
    ) {
        let op_id = self.history.len();
        let line = |phase: &str, body: serde_json::Value| {
            json!({
                "process": 1, "op_id": op_id, "kind": kind, "phase": phase, "t_mono_ns": 1, "key": key,
                "user_id": BUYER, "order_id": order_id, "request": {"event_id": EVENT}, "status": null, "body": body,
            })
        };
        self.history.push(line("invoke", json!(null)));
        self.history.push(line(phase, json!({"id": answered})));
    }

    /// Two seats. Order 1 is paid at the second try; 2 expires, is paid after that and refunded; 3 is cancelled; 4 holds
    /// the second seat. A fifth was refused.
    pub(super) fn in_order() -> Self {
        let mut sale = Self {
            ledger: Ledger::empty(),
            charges: Charges::default(),
            history: Vec::new(),
            offset: 0,
            number: 0,
        };
        sale.ledger.inventory.insert(
            EVENT,
            vec![EventInventory {
                event_id: EVENT,
                version: 1,
                status: EventStatus::Published,
                organizer_id: BUYER,
                currency: "EUR".to_owned(),
                ticket_types: vec![TicketTypeInventory {
                    ticket_type_id: TYPE,
                    name: "General".to_owned(),
                    kind: "general".to_owned(),
                    price: euros(PRICE),
                    quantity: 2,
                    max_per_buyer: None,
                    sale_starts_at: None,
                    sale_ends_at: None,
                }],
                attendance_releases_seat: Some(true),
            }],
        );
        sale.level(1, 0, 0, 0);
        sale.step(1, Step::Reserved, SECOND);
        sale.step(2, Step::Reserved, SECOND);
        sale.level(2, SECOND, 2, 0);
        sale.step(1, Step::Failed, 2 * SECOND);
        sale.step(1, Step::Confirmed, 3 * SECOND);
        sale.charge(1, ChargeStatus::Captured, 3 * SECOND);
        sale.step(2, Step::Expired, 11 * SECOND);
        sale.step(2, Step::Confirmed, 12 * SECOND);
        sale.charge(2, ChargeStatus::Refunded, 14 * SECOND);
        sale.level(3, 12 * SECOND, 0, 2);
        sale.step(2, Step::Refunded, 13 * SECOND);
        sale.due(2, 13 * SECOND);
        sale.paid_back(2, 14 * SECOND);
        sale.step(3, Step::Reserved, 20 * SECOND);
        sale.step(3, Step::Cancelled, 21 * SECOND);
        sale.step(4, Step::Reserved, 22 * SECOND);
        sale.level(4, 22 * SECOND, 1, 1);
        for n in 1..=4 {
            sale.asked("place", &format!("key-{n}"), None, "ok", Some(order(n)));
        }
        sale.asked("place", "key-1", None, "ok", Some(order(1)));
        sale.asked("place", "key-5", None, "fail", None);
        sale.asked("pay", "pay-1", Some(order(1)), "ok", Some(order(1)));
        sale.asked("refund", "refund-2", Some(order(2)), "ok", Some(order(2)));
        sale.asked("cancel", "cancel-3", Some(order(3)), "ok", Some(order(3)));
        sale
    }

    pub(super) fn judge(&self) -> Found {
        let mut found = Found::default();
        orders::check(&self.ledger, NOW, &mut found);
        stock::check(&self.ledger, &mut found);
        vouchers::check(&self.ledger, &mut found);
        money::check(&self.ledger, &self.charges, NOW, &mut found);
        let lines: Vec<String> = self.history.iter().map(ToString::to_string).collect();
        let history = History::read(lines.join("\n").as_bytes()).unwrap();
        history.check(&self.ledger, &mut found);
        found
    }
}
