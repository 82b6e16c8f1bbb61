//! The provider has paid money back.

use platform::clock::Timestamp;

use super::Decision;
use crate::domain::books::Desk;
use crate::domain::command::{Answer, SettleRefund};
use crate::domain::fact::Fact;
use crate::planted::{Bug, planted};

pub(super) fn decide(desk: &mut Desk<'_>, command: &SettleRefund, now: Timestamp) -> Decision {
    let Some(owed) = desk.refund(command.payment_id).cloned() else {
        return Decision::nothing(Answer::Nothing);
    };
    desk.close_refund(command.payment_id);
    let made = Fact::RefundMade { owed, at: now };
    let times = if planted(Bug::RefundTwice) { 2 } else { 1 };
    Decision {
        facts: vec![made; times],
        answer: Answer::Nothing,
    }
}
