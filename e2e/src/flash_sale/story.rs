//! What a shopper is going to do, decided before he comes.

use std::time::Duration;

use super::chance::Chance;

/// What a shopper does with an order that he got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Pays.
    Pay,
    /// Pays with a card that is declined, then with a good one.
    PayAtSecondTry,
    /// Pays with a card that is charged and whose answer is lost.
    PayAndMissTheAnswer,
    /// Leaves, and the hold ends by itself.
    LetExpire,
    /// Cancels.
    Cancel,
    /// Pays, and the organizer refunds it.
    PayAndBeRefunded,
    /// Pays, and gives one of the tickets back: somebody will not come.
    PayAndGiveBack,
    /// Pays, and gives one of the tickets back while the organizer refunds the order.
    GiveBackWhileRefunded,
}

impl Ending {
    /// Of a hundred shoppers so many want this.
    const SHARES: [(u64, Self); 8] = [
        (48, Self::Pay),
        (5, Self::PayAtSecondTry),
        (5, Self::PayAndMissTheAnswer),
        (20, Self::LetExpire),
        (10, Self::Cancel),
        (5, Self::PayAndBeRefunded),
        (5, Self::PayAndGiveBack),
        (2, Self::GiveBackWhileRefunded),
    ];

    fn any(chance: &mut Chance) -> Self {
        let mut left = chance.below(Self::SHARES.iter().map(|(share, _)| share).sum());
        for (share, ending) in Self::SHARES {
            match left.checked_sub(share) {
                Some(rest) => left = rest,
                None => return ending,
            }
        }
        Self::Pay
    }
}

/// Where a request goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// The gateway, behind which is the first svc-checkout.
    Gateway,
    /// The second svc-checkout's own port.
    Second,
}

impl Door {
    fn any(chance: &mut Chance) -> Self {
        if chance.percent(50) {
            Self::Gateway
        } else {
            Self::Second
        }
    }

    /// The one to try when this one is closed.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Gateway => Self::Second,
            Self::Second => Self::Gateway,
        }
    }
}

/// One shopper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Where he goes in first.
    pub door: Door,
    /// An impatient one sends each request twice at once under one key; the second one goes in here.
    pub twin: Option<Door>,
    /// Index of the ticket type: 0 general, 1 vip.
    pub ticket_type: usize,
    /// How many tickets.
    pub tickets: u32,
    /// Names the voucher, as long as it is not used up.
    pub voucher: bool,
    /// What he does with his order.
    pub ending: Ending,
    /// How long he looks for his card, or thinks better of it.
    pub hesitation: Duration,
}

/// Of a hundred shoppers so many are impatient.
const IMPATIENT_PERCENT: u64 = 10;
/// Of a hundred shoppers so many want vip tickets: as many as there are vip seats among all.
pub const VIP_PERCENT: u64 = 20;
/// Of a hundred shoppers so many have heard of the voucher: more than can have it.
const VOUCHER_PERCENT: u64 = 20;
/// Tickets that one order has at most.
const MOST_TICKETS: u32 = 2;
/// Someone who has the card at hand, and someone who has to get up.
const HESITATION: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(2_000)];

impl Story {
    /// Of the shopper whose chance this is.
    pub fn any(chance: &mut Chance) -> Self {
        let door = Door::any(chance);
        let is_impatient = chance.percent(IMPATIENT_PERCENT);
        let twins_door = Door::any(chance);
        Self {
            door,
            twin: is_impatient.then_some(twins_door),
            ticket_type: usize::from(chance.percent(VIP_PERCENT)),
            tickets: if chance.percent(50) { 1 } else { MOST_TICKETS },
            ending: Ending::any(chance),
            hesitation: chance.between(HESITATION[0], HESITATION[1]),
            voucher: chance.percent(VOUCHER_PERCENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn endings_come_in_their_shares() {
        let shoppers = 20_000;
        let mut seen: BTreeMap<Ending, u64> = BTreeMap::new();
        for number in 0..shoppers {
            let story = Story::any(&mut Chance::of(1, number));
            *seen.entry(story.ending).or_default() += 1;
        }
        for (share, ending) in Ending::SHARES {
            let expected = shoppers * share / 100;
            let difference = seen[&ending].abs_diff(expected);
            assert!(difference < shoppers / 100, "{ending:?}: {}", seen[&ending]);
        }
    }

    #[test]
    fn a_shopper_comes_again_as_the_same() {
        let story = |seed| Story::any(&mut Chance::of(seed, 17));
        assert_eq!(story(3), story(3));
    }
}
