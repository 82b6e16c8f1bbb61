//! What random histories are made of.

use proptest::prelude::*;

/// One step of a random history.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Place {
        key: u8,
        buyer: u8,
        general: i64,
        vip: i64,
        voucher: bool,
    },
    /// The organizer puts somebody on the list.
    Guest {
        key: u8,
        vip: bool,
    },
    Start {
        key: u8,
        order: usize,
    },
    Settle {
        order: usize,
        attempt: u32,
        paid: bool,
    },
    Refund {
        order: usize,
        attempt: u32,
    },
    Cancel {
        key: u8,
        order: usize,
    },
    /// With the row as it is, or as it was when the order was paid.
    TakeBack {
        key: u8,
        order: usize,
        stale: bool,
    },
    /// Likewise, one ticket.
    Release {
        key: u8,
        order: usize,
        place: i64,
        stale: bool,
    },
    /// The event takes seats back, or no longer.
    TakesBack {
        seats: bool,
    },
    Wait {
        seconds: u64,
    },
    Raise {
        general: i64,
    },
    /// The voucher can be had so often.
    Terms {
        max_uses: i64,
    },
    /// The catalog asks to sell so much less, and then writes that down, gives up, or is never heard of again.
    Lower {
        general: i64,
        then: Then,
    },
    /// The event is called off, for good.
    CallOff,
}

/// What becomes of a grant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    Written,
    GivenUp,
    /// The next change of the event comes by and lifts it.
    Left,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 0..6_u8, 0..4_i64, 0..3_i64, any::<bool>()).prop_map(
            |(key, buyer, general, vip, voucher)| Step::Place { key, buyer, general, vip, voucher }
        ),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(key, vip)| Step::Guest { key, vip }),
        3 => (any::<u8>(), 0..20_usize).prop_map(|(key, order)| Step::Start { key, order }),
        4 => (0..20_usize, 1..4_u32, any::<bool>())
            .prop_map(|(order, attempt, paid)| Step::Settle { order, attempt, paid }),
        1 => (0..20_usize, 1..4_u32).prop_map(|(order, attempt)| Step::Refund { order, attempt }),
        1 => (any::<u8>(), 0..20_usize).prop_map(|(key, order)| Step::Cancel { key, order }),
        2 => (any::<u8>(), 0..20_usize, any::<bool>())
            .prop_map(|(key, order, stale)| Step::TakeBack { key, order, stale }),
        3 => (any::<u8>(), 0..20_usize, 1..5_i64, any::<bool>())
            .prop_map(|(key, order, place, stale)| Step::Release { key, order, place, stale }),
        1 => any::<bool>().prop_map(|seats| Step::TakesBack { seats }),
        2 => (1..900_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0..10_i64).prop_map(|general| Step::Raise { general }),
        1 => (0..6_i64).prop_map(|max_uses| Step::Terms { max_uses }),
        1 => (1..8_i64, prop_oneof![Just(Then::Written), Just(Then::GivenUp), Just(Then::Left)])
            .prop_map(|(general, then)| Step::Lower { general, then }),
        // Seldom: most histories have some steps before it, and some never come to it.
        1 => proptest::bool::weighted(0.3).prop_map(|off| match off {
            true => Step::CallOff,
            false => Step::Wait { seconds: 1 },
        }),
    ]
}

/// Steps, and whether each is decided at the same desk as the one before: a real batch has up to 2,000 commands.
pub(crate) type History = Vec<(Step, bool)>;

pub(crate) fn history() -> impl Strategy<Value = History> {
    proptest::collection::vec((step(), proptest::bool::weighted(0.6)), 1..80)
}

impl Step {
    /// Inventory and time come before the commands of their batch.
    pub(super) fn begins_a_batch(&self) -> bool {
        match self {
            Step::TakesBack { .. } | Step::Wait { .. } | Step::Raise { .. } | Step::CallOff => true,
            Step::Place { .. }
            | Step::Guest { .. }
            | Step::Start { .. }
            | Step::Settle { .. }
            | Step::Refund { .. }
            | Step::Cancel { .. }
            | Step::TakeBack { .. }
            | Step::Release { .. }
            | Step::Terms { .. }
            | Step::Lower { .. } => false,
        }
    }
}
