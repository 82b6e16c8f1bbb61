//! Deciding a batch: no Kafka here, so that a batch can be decided again after an abort.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;

use crate::box_office::partition::Partition;
use crate::box_office::projector::{Reply, Settled};
use crate::box_office::takeover::Damage;
use crate::box_office::waiters::Wish;
use crate::domain::books::{Changes, Desk};
use crate::domain::command::Command;
use crate::domain::decide::{apply_inventory, cancel_stranded, decide, expire_hold};
use crate::domain::event_book::Inventory;

/// Holds that time ends in one batch, at most.
const MAX_EXPIRIES: usize = 2000;
/// Holds that one batch cancels with their event, at most. An event may have 100,000 of them: all in one transaction
/// would keep everybody's commands waiting, and its records would outgrow what a producer holds.
const MAX_STRANDED: usize = 2000;
/// What [`Damage::Panicked`] says of a rule.
const APPLYING: &str = "applying its time or its inventory";

/// One record of checkout.commands.
pub(super) struct Incoming {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The command, or why the bytes are none.
    pub command: Result<Command, String>,
    /// Trace context of the request.
    pub traceparent: Option<Arc<str>>,
    /// The instance where its client waits.
    pub reply_to: Option<Arc<str>>,
    /// The bytes, for a dead letter: a command that reads well may still make a rule panic, and is looked at by a person then.
    pub payload: Option<Vec<u8>>,
}

/// A record that could not be decided.
pub(super) struct Dead {
    /// Offset.
    pub offset: i64,
    /// Why.
    pub reason: String,
    /// Its bytes, when it had some.
    pub payload: Option<Vec<u8>>,
}

/// What a batch leads to in one partition.
pub(super) struct Decided {
    /// Changes of the books.
    pub changes: Changes,
    /// Facts and answers.
    pub settled: Vec<Settled>,
    /// Dead letters.
    pub dead: Vec<Dead>,
    /// Keys of remembered commands to forget.
    pub forgotten: Vec<String>,
    /// Next offset to decide.
    pub position: i64,
    /// Time of the batch.
    pub now: Timestamp,
}

impl Decided {
    /// Whether there is nothing to commit.
    pub(super) fn is_empty(&self, partition: &Partition) -> bool {
        self.position == partition.position
            && self.changes.is_empty()
            && self.settled.is_empty()
            && self.forgotten.is_empty()
    }
}

/// Settings of a decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How long a hold lasts.
    pub hold_for: Duration,
    /// How long commands are remembered.
    pub remember_for: Duration,
}

/// Decides everything that waits in one partition: inventory and what it cancels, time, commands, in this order.
pub(super) fn decide_partition(
    partition: &Partition,
    commands: &[&Incoming],
    inventory: &[Arc<Inventory>],
    rules: Rules,
    clock: Timestamp,
) -> Result<Decided, Damage> {
    let mut poison = HashSet::new();
    loop {
        match attempt(partition, commands, inventory, rules, clock, &poison) {
            Ok(decided) => return Ok(decided),
            // A rule broke on this command. Its half-made changes go with the whole attempt; it
            // becomes a dead letter and the partition goes on.
            Err(Panicked::On(offset)) => {
                poison.insert(offset);
            }
            // Nobody can say what to leave out.
            Err(Panicked::BeforeCommands) => return Err(Damage::Panicked(APPLYING)),
        }
    }
}

/// Where a rule broke.
enum Panicked {
    /// Applying inventory or time.
    BeforeCommands,
    /// Deciding the command at this offset.
    On(i64),
}

fn attempt(
    partition: &Partition,
    commands: &[&Incoming],
    inventory: &[Arc<Inventory>],
    rules: Rules,
    clock: Timestamp,
    poison: &HashSet<i64>,
) -> Result<Decided, Panicked> {
    let now = partition.now(clock);
    let mut desk = Desk::new(&partition.books, rules.hold_for);
    let mut settled = Vec::with_capacity(commands.len());
    let mut dead = Vec::new();
    let mut position = partition.position;
    let before_commands = || {
        for newer in inventory {
            apply_inventory(&mut desk, newer, now);
        }
        let mut ended = cancel_stranded(&mut desk, MAX_STRANDED, now);
        for order_id in partition.books.due(now, MAX_EXPIRIES) {
            ended.extend(expire_hold(&mut desk, order_id, now));
        }
        ended
    };
    let ended =
        catch_unwind(AssertUnwindSafe(before_commands)).map_err(|_| Panicked::BeforeCommands)?;
    settled.extend(ended.into_iter().map(|fact| Settled {
        facts: vec![fact],
        reply: None,
        traceparent: None,
    }));
    for incoming in commands {
        if incoming.offset < position {
            continue; // decided before: the position is in the state, not in the group
        }
        position = incoming.offset + 1;
        let command = match &incoming.command {
            Ok(command) if !poison.contains(&incoming.offset) => command,
            other => {
                let reason = match other {
                    Ok(_) => "deciding it panicked".to_owned(),
                    Err(reason) => reason.clone(),
                };
                dead.push(Dead {
                    offset: incoming.offset,
                    reason,
                    payload: incoming.payload.clone(),
                });
                continue;
            }
        };
        let decided = catch_unwind(AssertUnwindSafe(|| decide(&mut desk, command, now)))
            .map_err(|_| Panicked::On(incoming.offset))?;
        let (facts, decided) = match decided {
            Ok(decision) => (decision.facts, Ok(decision.answer)),
            Err(refusal) => (Vec::new(), Err(refusal)),
        };
        settled.push(Settled {
            facts,
            reply: Some(Reply {
                wish: Wish::of(command),
                to: incoming.reply_to.clone(),
                decided,
            }),
            traceparent: incoming.traceparent.clone(),
        });
    }
    Ok(Decided {
        changes: desk.changes,
        settled,
        dead,
        forgotten: partition.forgettable(now, rules.remember_for),
        position,
        now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::box_office::partition::RememberedBatch;
    use crate::domain::command::{OrderRow, PlaceOrder, RefundOrder, Refusal};
    use crate::domain::event_book::{SaleStatus, TicketTypeOffer};
    use crate::domain::order::{Line, Status};
    use platform::money::{Currency, Money};
    use uuid::Uuid;

    const EVENT: Uuid = Uuid::from_u128(0xe);
    const GENERAL: Uuid = Uuid::from_u128(0xa);
    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
    const RULES: Rules = Rules {
        hold_for: Duration::from_secs(600),
        remember_for: Duration::from_secs(86_400),
    };

    fn inventory(version: i64, status: SaleStatus) -> Arc<Inventory> {
        Arc::new(Inventory {
            event_id: EVENT,
            version,
            status,
            organizer_id: Uuid::from_u128(0xc),
            currency: Currency::EUR,
            ticket_types: vec![TicketTypeOffer {
                id: GENERAL,
                kind: Arc::from("general"),
                price: Money::new(2_500, Currency::EUR),
                quantity: 1_000_000,
                max_per_buyer: None,
                sale_starts_at: None,
                sale_ends_at: None,
            }],
            attendance_releases_seat: false,
        })
    }

    fn order(offset: i64) -> Incoming {
        let command = Command::PlaceOrder(PlaceOrder {
            command_id: platform::ids::new_id(),
            event_id: EVENT,
            user_id: Uuid::from_u128(1),
            lines: vec![(GENERAL, 1)],
            voucher: None,
            complimentary: false,
            fingerprint: [0; 32],
            not_after: NOW,
        });
        Incoming {
            partition: 0,
            offset,
            command: Ok(command),
            traceparent: None,
            reply_to: None,
            payload: None,
        }
    }

    fn decide_all(
        partition: &Partition,
        commands: &[&Incoming],
        inventory: &[Arc<Inventory>],
        clock: Timestamp,
    ) -> Decided {
        decide_partition(partition, commands, inventory, RULES, clock).expect("it is not damaged")
    }

    /// Decides and commits; how many orders changed.
    fn turn(
        partition: &mut Partition,
        commands: &[&Incoming],
        inventory: &[Arc<Inventory>],
    ) -> usize {
        let decided = decide_all(partition, commands, inventory, NOW);
        if decided.is_empty(partition) {
            return 0;
        }
        let settled = decided.settled.len();
        partition.commit(decided.changes, decided.position, decided.now, None, 0);
        settled
    }

    #[test]
    fn a_cancelled_event_ends_its_holds_in_batches_that_need_no_command() {
        let mut partition = Partition::default();
        let orders: Vec<Incoming> = (0..=MAX_STRANDED)
            .map(|offset| order(i64::try_from(offset).expect("small")))
            .collect();
        let orders: Vec<&Incoming> = orders.iter().collect();
        let on_sale = [inventory(1, SaleStatus::Published)];
        assert_eq!(turn(&mut partition, &orders, &on_sale), MAX_STRANDED + 1);
        assert_eq!(partition.books.holds().count(), MAX_STRANDED + 1);

        let cancelled = [inventory(2, SaleStatus::Cancelled)];
        assert_eq!(turn(&mut partition, &[], &cancelled), MAX_STRANDED);
        assert_eq!(turn(&mut partition, &[], &[]), 1);
        assert_eq!(partition.books.holds().count(), 0);
        assert_eq!(turn(&mut partition, &[], &[]), 0);
    }

    /// A refund whose row makes the rules panic: nobody can count what so many seats cost.
    fn absurd(offset: i64) -> Incoming {
        let lines = vec![Line {
            ticket_type_id: GENERAL,
            quantity: i64::MAX,
            unit_price: Money::new(2, Currency::EUR),
            line_total: Money::new(1, Currency::EUR),
        }];
        let row = OrderRow {
            status: Status::Paid,
            version: 2,
            user_id: Uuid::from_u128(1),
            lines,
            total: Money::new(1, Currency::EUR),
            voucher: None,
            reserved_at: NOW,
            payment_id: None,
            updated_at: NOW,
        };
        let command = Command::RefundOrder(RefundOrder {
            command_id: platform::ids::new_id(),
            event_id: EVENT,
            order_id: platform::ids::new_id(),
            user_id: Uuid::from_u128(1),
            row,
            fingerprint: [0; 32],
            not_after: NOW,
        });
        Incoming {
            command: Ok(command),
            payload: Some(b"as it came".to_vec()),
            ..order(offset)
        }
    }

    #[test]
    fn a_command_on_which_a_rule_panics_is_a_dead_letter_and_changes_nothing() {
        let mut partition = Partition::default();
        turn(&mut partition, &[], &[inventory(1, SaleStatus::Published)]);
        let commands = [order(0), absurd(1), order(2)];
        let commands: Vec<&Incoming> = commands.iter().collect();
        let decided = decide_all(&partition, &commands, &[], NOW);
        assert_eq!((decided.settled.len(), decided.position), (2, 3));
        let [dead] = &decided.dead[..] else {
            panic!("{} dead letters", decided.dead.len());
        };
        assert_eq!((dead.offset, &*dead.reason), (1, "deciding it panicked"));
        assert_eq!(dead.payload.as_deref(), Some(&b"as it came"[..]));
        let book = &decided.changes.events[&EVENT].ticket_types[0];
        assert_eq!((book.held, book.sold), (2, 0));
        assert_eq!(decided.changes.effects.len(), 2);
    }

    #[test]
    fn a_hold_on_which_time_panics_stops_its_partition() {
        let mut partition = Partition::default();
        let first = order(0);
        turn(
            &mut partition,
            &[&first],
            &[inventory(1, SaleStatus::Published)],
        );
        // Nobody can count down from there: as if a record of the state was wrong.
        let mut book = partition.books.events().next().expect("opened").clone();
        book.ticket_types[0].held = i64::MIN;
        let mut wrong = Changes::default();
        wrong.events.insert(EVENT, book);
        partition.books.merge(wrong);

        let decide = |clock| decide_partition(&partition, &[], &[], RULES, clock);
        assert!(decide(NOW).is_ok_and(|decided| decided.is_empty(&partition)));
        let due = decide(NOW + RULES.hold_for + RULES.hold_for);
        assert!(matches!(due, Err(Damage::Panicked(APPLYING))));
        // A command more or less changes nothing: there is nothing that could be left out.
        let late = order(1);
        let clock = NOW + RULES.hold_for + RULES.hold_for;
        let with_command = decide_partition(&partition, &[&late], &[], RULES, clock);
        assert!(matches!(with_command, Err(Damage::Panicked(APPLYING))));
    }

    #[test]
    fn what_was_decided_before_is_passed_over() {
        let mut partition = Partition::default();
        let (first, second) = (order(0), order(1));
        let on_sale = [inventory(1, SaleStatus::Published)];
        assert_eq!(turn(&mut partition, &[&first], &on_sale), 1);
        // Read again, as by an operator who set the group's offsets back.
        assert_eq!(turn(&mut partition, &[&first, &second], &[]), 1);
        assert_eq!(partition.books.holds().count(), 2);
        assert_eq!(partition.position, 2);
    }

    #[test]
    fn a_command_is_remembered_for_its_window_and_then_forgotten_with_its_record() {
        let mut partition = Partition::default();
        let (first, on_sale) = (order(0), [inventory(1, SaleStatus::Published)]);
        let decided = decide_all(&partition, &[&first], &on_sale, NOW);
        let remembered = RememberedBatch {
            key: "commands/0".to_owned(),
            at: NOW,
            commands: decided.changes.effects.keys().copied().collect(),
        };
        partition.commit(decided.changes, 1, NOW, Some(remembered), 0);
        let end = NOW + RULES.remember_for;
        let at_the_end = decide_all(&partition, &[], &[], end);
        assert!(at_the_end.forgotten.is_empty());
        let after = end + Duration::from_micros(1);
        let after = decide_all(&partition, &[], &[], after);
        assert_eq!(after.forgotten, ["commands/0"]);
        partition.commit(after.changes, 1, after.now, None, after.forgotten.len());
        let again = Incoming { offset: 1, ..first };
        let again = decide_all(&partition, &[&again], &[], NOW);
        let refused = again.settled[0].reply.as_ref().map(|reply| &reply.decided);
        assert!(
            matches!(refused, Some(Err(Refusal::TooLate))),
            "as if it had never been"
        );
    }
}
