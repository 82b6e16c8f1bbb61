//! The tables of the keyspace.

pub mod attendees;
pub mod erased_users;
pub mod events;
pub mod guests;
pub mod orders;
mod persons;
pub mod simulated_charges;
pub mod stripe_payments;

use platform::cql::Migration;
use platform::intent;

/// The migrations, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_orders",
        text: include_str!("../../migrations/0001_orders.cql"),
    },
    Migration {
        name: "0002_events",
        text: include_str!("../../migrations/0002_events.cql"),
    },
    Migration {
        name: "0003_simulated_provider",
        text: include_str!("../../migrations/0003_simulated_provider.cql"),
    },
    Migration {
        name: "0004_stripe",
        text: include_str!("../../migrations/0004_stripe.cql"),
    },
    Migration {
        name: "0005_vouchers",
        text: include_str!("../../migrations/0005_vouchers.cql"),
    },
    Migration {
        name: "0006_guests",
        text: include_str!("../../migrations/0006_guests.cql"),
    },
    Migration {
        name: "0007_intents",
        text: intent::TABLE,
    },
    Migration {
        name: "0008_released_tickets",
        text: include_str!("../../migrations/0008_released_tickets.cql"),
    },
    Migration {
        name: "0009_attendees",
        text: include_str!("../../migrations/0009_attendees.cql"),
    },
    Migration {
        name: "0010_attendee_names",
        text: include_str!("../../migrations/0010_attendee_names.cql"),
    },
    Migration {
        name: "0011_simulated_ledger",
        text: include_str!("../../migrations/0011_simulated_ledger.cql"),
    },
];
