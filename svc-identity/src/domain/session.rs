//! Sessions: what one sign-in began, kept alive by refresh tokens of which only the newest is good.

use std::time::Duration;

use platform::clock::Timestamp;
use uuid::Uuid;

/// SHA-256 of the secret in a refresh token.
pub type SecretHash = [u8; 32];

/// One sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Stands in every refresh token of the session and nowhere else.
    pub id: Uuid,
    /// Who signed in.
    pub user_id: Uuid,
    /// Signed out, or a spent refresh token was used.
    pub revoked: bool,
    /// Of the newest refresh token.
    pub secret_hash: SecretHash,
    /// The user's epoch when the session began.
    pub epoch: i32,
    /// When the user last gave the password; sessions of earlier versions do not say.
    pub signed_in_at: Option<Timestamp>,
    /// When the user must sign in again, however often the session was refreshed.
    pub expires_at: Timestamp,
}

/// What a refresh token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It is the newest one.
    Good,
    /// It is not the newest one of a session that is alive. Whoever knows the session's id has held one of its tokens,
    /// so this one was spent before: it was copied, and nobody can tell whether the thief or the owner came first.
    Spent,
    /// Its session has ended.
    Ended,
}

/// How long after a sign-in somebody may do what cannot be undone, such as erasing the account: who found a device
/// unlocked, or a token in a log, should not be able to.
pub const FRESH_FOR: Duration = Duration::from_secs(15 * 60);

impl Session {
    /// Whether it is alive and the password was given a moment ago.
    pub fn is_fresh(&self, epoch: i32, now: Timestamp) -> bool {
        !self.revoked
            && self.epoch == epoch
            && self
                .signed_in_at
                .is_some_and(|at| now.since(at) < FRESH_FOR)
    }

    /// Judges a refresh token of this session.
    pub fn present(&self, secret_hash: &SecretHash, now: Timestamp) -> Presented {
        if self.revoked || self.expires_at <= now {
            Presented::Ended
        } else if self.secret_hash == *secret_hash {
            Presented::Good
        } else {
            Presented::Spent
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(2),
            revoked: false,
            secret_hash: [7; 32],
            epoch: 0,
            signed_in_at: Some(Timestamp::EPOCH),
            expires_at: Timestamp::from_seconds(100),
        }
    }

    #[test]
    fn only_the_newest_token_of_a_living_session_is_good() {
        let now = Timestamp::from_seconds(99);
        assert_eq!(session().present(&[7; 32], now), Presented::Good);
        assert_eq!(session().present(&[6; 32], now), Presented::Spent);
    }

    #[test]
    fn a_session_is_fresh_for_a_while_and_in_its_epoch() {
        let at = |seconds| Timestamp::from_seconds(seconds);
        assert!(session().is_fresh(0, at(899)));
        assert!(!session().is_fresh(0, at(900)));
        assert!(!session().is_fresh(1, at(0)));
        let revoked = Session {
            revoked: true,
            ..session()
        };
        assert!(!revoked.is_fresh(0, at(0)));
        let older = Session {
            signed_in_at: None,
            ..session()
        };
        assert!(!older.is_fresh(0, at(0)));
    }

    #[test]
    fn an_ended_session_has_no_good_token() {
        let end = Timestamp::from_seconds(100);
        let revoked = Session {
            revoked: true,
            ..session()
        };
        for hash in [[7; 32], [6; 32]] {
            assert_eq!(session().present(&hash, end), Presented::Ended);
            assert_eq!(revoked.present(&hash, Timestamp::EPOCH), Presented::Ended);
        }
    }
}
