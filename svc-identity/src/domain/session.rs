//! Sessions: what one sign-in began, kept alive by refresh tokens of which only the newest is good.

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

impl Session {
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
