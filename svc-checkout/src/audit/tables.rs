//! The tables against the ledger, row by row.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use futures::future::ready;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::clock::Timestamp;
use schemas::Micros;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::{DeserializeRow, DeserializeValue};
use uuid::Uuid;

use super::ledger::{Entry, Ledger, Step};
use super::report::{Found, Promise};
use super::scope::Scope;

/// Rows that are read again at once.
const READS_AT_ONCE: usize = 64;
const COLUMNS: &str = "order_id, event_id, user_id, version, status, currency, lines, tickets, total, voucher, \
                       reserved_at, expires_at, updated_at, paid_at, payment_id, fingerprint, released";
/// Bits of an order's id that name its partition.
const BUCKET_BITS: u32 = 45;
/// Partitions that the buyers of a year share.
const BUYER_BUCKETS: u8 = 64;

#[derive(Debug, Clone, PartialEq, Eq, DeserializeValue)]
struct Line {
    ticket_type_id: Uuid,
    quantity: i64,
    unit_price: i64,
    line_total: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, DeserializeValue)]
struct Ticket {
    ticket_id: Uuid,
    number: i64,
    ticket_type_id: Uuid,
    kind: String,
    price: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, DeserializeValue)]
struct Voucher {
    code: String,
    version: i64,
    max_uses: i64,
    discount: i64,
}

/// A row of `orders`.
#[derive(Debug, Clone, PartialEq, Eq, DeserializeRow)]
struct Row {
    order_id: Uuid,
    event_id: Option<Uuid>,
    user_id: Option<Uuid>,
    version: Option<i64>,
    status: Option<String>,
    currency: Option<String>,
    lines: Option<Vec<Line>>,
    tickets: Option<Vec<Ticket>>,
    total: Option<i64>,
    voucher: Option<Voucher>,
    reserved_at: Option<i64>,
    expires_at: Option<i64>,
    updated_at: Option<i64>,
    paid_at: Option<i64>,
    payment_id: Option<Uuid>,
    fingerprint: Option<Vec<u8>>,
    released: Option<HashSet<Uuid>>,
}

/// A buyer's order or ticket in the table that lists his: buyer, time, id, order.
type Listed = (Uuid, Micros, Uuid, Uuid);

/// The tables as one scan found them, and the statements to look again.
pub(super) struct Tables<'a> {
    session: &'a Session,
    rows: HashMap<Uuid, Row>,
    orders_listed: HashSet<Listed>,
    tickets_listed: HashSet<Listed>,
    row: PreparedStatement,
    order_listed: PreparedStatement,
    ticket_listed: PreparedStatement,
}

impl<'a> Tables<'a> {
    /// Reads all of them.
    pub(super) async fn scan(session: &'a Session, scope: Scope) -> anyhow::Result<Self> {
        let orders = format!("SELECT {COLUMNS} FROM orders");
        let rows: HashMap<Uuid, Row> = session
            .query_iter(orders.as_str(), ())
            .await?
            .rows_stream::<Row>()?
            .map_ok(|row| (row.order_id, row))
            .try_filter(|(id, _)| ready(scope.has_order(*id)))
            .try_collect()
            .await
            .context("read the table orders")?;
        let orders_listed = session
            .query_iter(
                "SELECT user_id, reserved_at, order_id FROM orders_by_user",
                (),
            )
            .await?
            .rows_stream::<(Uuid, i64, Uuid)>()?
            .map_ok(|(user_id, at, order_id)| (user_id, at, order_id, order_id))
            .try_filter(|(.., id)| ready(scope.has_order(*id)))
            .try_collect()
            .await
            .context("read the table orders_by_user")?;
        let tickets = "SELECT user_id, purchased_at, ticket_id, order_id FROM tickets_by_user";
        let tickets_listed = session
            .query_iter(tickets, ())
            .await?
            .rows_stream::<Listed>()?
            .try_filter(|(.., id)| ready(scope.has_order(*id)))
            .try_collect()
            .await
            .context("read the table tickets_by_user")?;
        let one = format!("{orders} WHERE bucket = ? AND order_id = ?");
        let listed = |table: &str, at: &str, id: &str| {
            format!(
                "SELECT user_id FROM {table} WHERE year = ? AND bucket = ? AND user_id = ? AND {at} = ? AND {id} = ?"
            )
        };
        Ok(Self {
            rows,
            orders_listed,
            tickets_listed,
            row: session.prepare(one).await?,
            order_listed: session
                .prepare(listed("orders_by_user", "reserved_at", "order_id"))
                .await?,
            ticket_listed: session
                .prepare(listed("tickets_by_user", "purchased_at", "ticket_id"))
                .await?,
            session,
        })
    }

    /// How many orders have a row.
    pub(super) fn orders(&self) -> usize {
        self.rows.len()
    }

    /// Reads these orders' rows and places again.
    pub(super) async fn look_again(
        &mut self,
        ledger: &Ledger,
        orders: &HashSet<Uuid>,
    ) -> anyhow::Result<()> {
        let this = &*self;
        let rows: Vec<Option<Row>> = stream::iter(orders.iter().copied().collect::<Vec<_>>())
            .map(|id| this.read(id))
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await?;
        let places: Vec<(Listed, bool)> = orders
            .iter()
            .filter_map(|id| Some((*id, ledger.orders.get(id)?)))
            .flat_map(|(id, entries)| places(id, entries))
            .collect();
        let found: Vec<Option<(Listed, bool)>> = stream::iter(places)
            .map(|(place, is_order)| this.find(place, is_order))
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await?;
        for row in rows.into_iter().flatten() {
            self.rows.insert(row.order_id, row);
        }
        for (place, is_order) in found.into_iter().flatten() {
            if is_order {
                self.orders_listed.insert(place);
            } else {
                self.tickets_listed.insert(place);
            }
        }
        Ok(())
    }

    async fn read(&self, order_id: Uuid) -> anyhow::Result<Option<Row>> {
        let (high, _) = order_id.as_u64_pair();
        let bucket = (high >> (u64::BITS - BUCKET_BITS)).cast_signed();
        let answer = self
            .session
            .execute_unpaged(&self.row, (bucket, order_id))
            .await?;
        Ok(answer.into_rows_result()?.maybe_first_row()?)
    }

    /// Looks where a list of the buyer would look.
    async fn find(&self, place: Listed, is_order: bool) -> anyhow::Result<Option<(Listed, bool)>> {
        let (user_id, at, id, _) = place;
        let statement = if is_order {
            &self.order_listed
        } else {
            &self.ticket_listed
        };
        let [.., last] = user_id.into_bytes();
        let bucket = (last % BUYER_BUCKETS).cast_signed();
        let year = Timestamp::from_micros(at).year();
        let answer = self
            .session
            .execute_unpaged(statement, (year, bucket, user_id, at, id))
            .await?;
        let is_there = answer.into_rows_result()?.rows_num() > 0;
        Ok(is_there.then_some((place, is_order)))
    }

    /// Compares. Returns the violations and the orders that they are about.
    pub(super) fn check(&self, ledger: &Ledger, found: &mut Found) -> HashSet<Uuid> {
        let mut suspects = HashSet::new();
        let (mut orders_expected, mut tickets_expected) = (HashSet::new(), HashSet::new());
        for (&order_id, entries) in &ledger.orders {
            let mut broken = |text| {
                suspects.insert(order_id);
                found.add(Promise::TablesAreTheLedger, order_id, text);
            };
            match (self.rows.get(&order_id), row_of(order_id, entries)) {
                (Some(row), Some(expected)) if *row != expected => {
                    let columns = different(row, &expected);
                    broken(format!("order {order_id}: its row has another {columns}"));
                }
                (None, Some(_)) => broken(format!("order {order_id} has no row")),
                _ => {}
            }
            for (place, is_order) in places(order_id, entries) {
                let (listed, expected) = if is_order {
                    (&self.orders_listed, &mut orders_expected)
                } else {
                    (&self.tickets_listed, &mut tickets_expected)
                };
                if !listed.contains(&place) {
                    broken(format!(
                        "order {order_id}: {} is not in its buyer's list",
                        place.2
                    ));
                }
                expected.insert(place);
            }
        }
        for order_id in self.rows.keys() {
            if !ledger.orders.contains_key(order_id) {
                found.add(
                    Promise::TablesAreTheLedger,
                    *order_id,
                    format!("order {order_id} has a row and no record"),
                );
            }
        }
        let extra_orders = self.orders_listed.difference(&orders_expected);
        for (.., id, order_id) in
            extra_orders.chain(self.tickets_listed.difference(&tickets_expected))
        {
            found.add(
                Promise::TablesAreTheLedger,
                *order_id,
                format!("order {order_id}: {id} is in a list and in no record"),
            );
        }
        suspects
    }
}

/// The row that these records lead to; `None` where they have no beginning.
fn row_of(order_id: Uuid, entries: &[Entry]) -> Option<Row> {
    let first = entries.first()?;
    let terms = first.terms.as_ref()?;
    let mut row = Row {
        order_id,
        event_id: Some(first.event_id),
        user_id: Some(first.user_id),
        version: None,
        status: None,
        currency: Some(terms.total.currency.clone()),
        lines: Some(
            terms
                .lines
                .iter()
                .map(|line| Line {
                    ticket_type_id: line.ticket_type_id,
                    quantity: line.quantity,
                    unit_price: line.unit_price.amount,
                    line_total: line.line_total.amount,
                })
                .collect(),
        ),
        tickets: None,
        total: Some(terms.total.amount),
        voucher: terms.voucher.as_ref().map(|used| Voucher {
            code: used.code.clone(),
            version: used.version,
            max_uses: used.max_uses,
            discount: used.discount.amount,
        }),
        reserved_at: Some(terms.reserved_at),
        expires_at: first.expires_at,
        updated_at: None,
        paid_at: None,
        payment_id: None,
        fingerprint: Some(first.fingerprint.clone()),
        released: None,
    };
    for entry in entries {
        row.version = Some(entry.version);
        row.updated_at = Some(entry.at);
        let status = match entry.step {
            Step::Failed => continue,
            Step::Released => {
                let released = row.released.get_or_insert_default();
                released.extend(entry.released.map(|ticket| ticket.ticket_id));
                continue;
            }
            Step::Reserved => "reserved",
            Step::Confirmed => "paid",
            Step::Expired => "expired",
            Step::Cancelled => "cancelled",
            Step::Refunded => "refunded",
        };
        row.status = Some(status.to_owned());
        if entry.step != Step::Reserved {
            row.expires_at = None;
        }
        if entry.step == Step::Confirmed {
            row.paid_at = Some(entry.at);
            row.payment_id = entry.payment_id.filter(|id| !id.is_nil());
            let tickets = entry.tickets.iter().map(|ticket| Ticket {
                ticket_id: ticket.ticket_id,
                number: ticket.number,
                ticket_type_id: ticket.ticket_type_id,
                kind: ticket.kind.clone(),
                price: ticket.price.amount,
            });
            row.tickets = Some(tickets.collect());
        }
    }
    Some(row)
}

/// Where an order (true) and its tickets (false) are listed for its buyer.
fn places(order_id: Uuid, entries: &[Entry]) -> Vec<(Listed, bool)> {
    let mut places = Vec::new();
    for entry in entries {
        match entry.step {
            Step::Reserved => places.push(((entry.user_id, entry.at, order_id, order_id), true)),
            Step::Confirmed => places.extend(entry.tickets.iter().map(|ticket| {
                let place = (entry.user_id, entry.at, ticket.ticket_id, order_id);
                (place, false)
            })),
            _ => {}
        }
    }
    places
}

/// The names of the columns that differ.
fn different(row: &Row, expected: &Row) -> String {
    let columns = [
        ("event_id", row.event_id == expected.event_id),
        ("user_id", row.user_id == expected.user_id),
        ("version", row.version == expected.version),
        ("status", row.status == expected.status),
        ("currency", row.currency == expected.currency),
        ("lines", row.lines == expected.lines),
        ("tickets", row.tickets == expected.tickets),
        ("total", row.total == expected.total),
        ("voucher", row.voucher == expected.voucher),
        ("reserved_at", row.reserved_at == expected.reserved_at),
        ("expires_at", row.expires_at == expected.expires_at),
        ("updated_at", row.updated_at == expected.updated_at),
        ("paid_at", row.paid_at == expected.paid_at),
        ("payment_id", row.payment_id == expected.payment_id),
        ("fingerprint", row.fingerprint == expected.fingerprint),
        ("released", row.released == expected.released),
    ];
    let names: Vec<&str> = columns
        .into_iter()
        .filter_map(|(name, is_same)| (!is_same).then_some(name))
        .collect();
    names.join(", ")
}
