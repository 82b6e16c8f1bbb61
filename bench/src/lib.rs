//! How many orders per second the system takes, and how many it could take at most; how many sign-ins; how fast a large
//! catalog is read, and how soon thousands see a seat go (`bench-catalog`); what becomes of a crowd that is too large
//! (`bench-crowd`); what a million past orders of an event do to the next one (`bench-growth`); how soon the buyers of
//! an event have their mails (`bench-mails`); and what the pattern of one ordered log allows (`bench-log`).
//!
//! Orders are measured by two programs. `bench` buys over the public REST interface like people with a browser do, at
//! the port of svc-checkout and through the gateway, and starts `ceiling`, which puts the same
//! records into Kafka and the same rows into the database with nothing in between. What lies
//! between the two figures is what our own code costs.
//!
//! Both are closed loops: each client sends its next order when the last one is answered. A slow
//! system is asked less, so the latencies are those of this many waiting people and not of a
//! fixed arrival rate.

pub mod calls;
pub mod ceiling_program;
pub mod connection;
pub mod cpu;
pub mod figures;
pub mod identity;
pub mod load;
pub mod machine;
pub mod meter;
pub mod process;
pub mod report;
pub mod users;
