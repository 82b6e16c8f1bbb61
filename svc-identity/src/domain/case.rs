//! Support cases: what a customer asks, and what support answers.

use std::time::Duration;

use platform::clock::Timestamp;
use platform::text::is_invisible;
use uuid::Uuid;

use super::NotAllowed;
use super::line::visible_line;

/// Longest message, in characters.
pub const MAX_MESSAGE_CHARS: usize = 4_000;
/// Most messages of a case: it is read as a whole. What takes longer begins another one.
pub const MAX_MESSAGES: usize = 100;

const LENGTH: NotAllowed = NotAllowed::new("length", "1 to 4000 characters");
const FORM: NotAllowed = NotAllowed::new("form", "text without control characters");
const VISIBLE: NotAllowed = NotAllowed::new("form", "something that can be seen");
const UNKNOWN: NotAllowed = NotAllowed::new("unknown", "open, pending or closed");

/// What a case is about, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// Reads a subject; spaces around it are dropped.
    pub fn parse(text: &str) -> Result<Self, NotAllowed> {
        Ok(Self(visible_line(text)?.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What somebody writes: lines of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Reads a message; white space around it is dropped, and every line ends in the same way.
    pub fn parse(text: &str) -> Result<Self, NotAllowed> {
        let text = text.trim().replace("\r\n", "\n");
        if !(1..=MAX_MESSAGE_CHARS).contains(&text.chars().count()) {
            return Err(LENGTH);
        }
        if text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
        {
            return Err(FORM);
        }
        if is_invisible(&text) {
            return Err(VISIBLE);
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Support's.
    Open,
    /// The customer's.
    Pending,
    /// Nobody's.
    Closed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Pending, Self::Closed];

    /// Reads a name, to the letter.
    pub fn parse(text: &str) -> Result<Self, NotAllowed> {
        let named = |status: &Self| status.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(UNKNOWN)
    }

    /// The name, in rows and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending => "pending",
            Self::Closed => "closed",
        }
    }
}

/// Who writes. Of support nobody is named: the customer writes to a shop, and the audit trail knows who it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// Whoever opened the case.
    Customer,
    /// Whoever answers for the shop.
    Support,
}

impl Author {
    /// Reads a name, to the letter.
    pub fn parse(text: &str) -> Option<Self> {
        let named = |author: &Self| author.as_str() == text;
        [Self::Customer, Self::Support].into_iter().find(named)
    }

    /// The name, in rows and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Support => "support",
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// By whom.
    pub author: Author,
    /// When, to the millisecond.
    pub at: Timestamp,
    /// What.
    pub text: Text,
}

/// A case without what was written, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Id.
    pub id: Uuid,
    /// Whose case it is.
    pub user_id: Uuid,
    /// 1 at first, one more with each change.
    pub version: i64,
    /// What it is about.
    pub subject: Subject,
    /// Whose turn it is.
    pub status: Status,
    /// The customer's own order that it is about, if any.
    pub order_id: Option<Uuid>,
    /// When it was opened, to the millisecond. It never changes, and lists are in its order.
    pub opened_at: Timestamp,
    /// When it changed last.
    pub changed_at: Timestamp,
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// All but the messages.
    pub head: Head,
    /// What was written, oldest first; the first one is the customer's.
    pub messages: Vec<Message>,
}

/// A case has as many messages as it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the case has {MAX_MESSAGES} messages and takes no more")]
pub struct Full;

impl Case {
    /// With one more message: it is the other's turn, also where the case was closed.
    pub fn with_message(self, author: Author, text: Text, now: Timestamp) -> Result<Self, Full> {
        let Self { head, mut messages } = self;
        if messages.len() >= MAX_MESSAGES {
            return Err(Full);
        }
        messages.push(Message {
            author,
            at: now,
            text,
        });
        let status = match author {
            Author::Customer => Status::Open,
            Author::Support => Status::Pending,
        };
        let head = head.next(status, now);
        Ok(Self { head, messages })
    }

    /// In this status. One that is in it stays at its version.
    #[must_use]
    pub fn with_status(self, status: Status, now: Timestamp) -> Self {
        if self.head.status == status {
            return self;
        }
        Self {
            head: self.head.next(status, now),
            ..self
        }
    }
}

impl Head {
    fn next(self, status: Status, now: Timestamp) -> Self {
        Self {
            status,
            version: self.version + 1,
            changed_at: now,
            ..self
        }
    }

    /// Where it stands in lists.
    pub const fn place(&self) -> Place {
        Place {
            opened_at: self.opened_at,
            id: self.id,
        }
    }
}

/// A place in a list of cases; later places come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the case was opened.
    pub opened_at: Timestamp,
    /// Which case of that moment.
    pub id: Uuid,
}

/// How far the clocks of two instances may be apart.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);
/// Seconds of a period.
const PERIOD_SECS: i64 = 30 * 24 * 60 * 60;

impl Place {
    /// Before all cases that there are at `now`, also on a clock that is ahead.
    pub fn newest(now: Timestamp) -> Self {
        Self {
            opened_at: now.saturating_add(CLOCKS_DIFFER),
            id: Uuid::max(),
        }
    }

    /// The period that it is in: so many times 30 days after 1970-01-01. The cases of one stay below the 100,000 rows
    /// that a partition can have.
    pub const fn period(self) -> i64 {
        self.opened_at.as_seconds().div_euclid(PERIOD_SECS)
    }

    /// Behind all of `period`, and before all of the one before it.
    pub fn end_of(period: i64) -> Self {
        Self {
            opened_at: Timestamp::from_seconds(period.saturating_mul(PERIOD_SECS)),
            id: Uuid::nil(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn text(text: &str) -> Text {
        Text::parse(text).expect("a text")
    }

    fn case() -> Case {
        let head = Head {
            id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(2),
            version: 1,
            subject: Subject::parse("Where are my tickets?").expect("a subject"),
            status: Status::Open,
            order_id: None,
            opened_at: at(0),
            changed_at: at(0),
        };
        let first = Message {
            author: Author::Customer,
            at: at(0),
            text: text("I paid."),
        };
        Case {
            head,
            messages: vec![first],
        }
    }

    #[test]
    fn whoever_writes_gives_the_turn_to_the_other() {
        let answered = case().with_message(Author::Support, text("Here."), at(1));
        let answered = answered.expect("room");
        let head = &answered.head;
        assert_eq!(
            (head.status, head.version, head.changed_at),
            (Status::Pending, 2, at(1))
        );
        let closed = answered.with_status(Status::Closed, at(2));
        let again = closed.with_message(Author::Customer, text("Thanks, but"), at(3));
        let again = again.expect("room");
        assert_eq!((again.head.status, again.messages.len()), (Status::Open, 3));
        assert_eq!((again.head.version, again.head.opened_at), (4, at(0)));
    }

    #[test]
    fn the_same_status_is_no_change() {
        assert_eq!(case().with_status(Status::Open, at(9)), case());
    }

    #[test]
    fn a_case_takes_so_many_messages() {
        let mut full = case();
        for _ in 1..MAX_MESSAGES {
            let more = full.with_message(Author::Customer, text("And"), at(1));
            full = more.expect("room");
        }
        let more = full.with_message(Author::Support, text("No"), at(1));
        assert_eq!(more, Err(Full));
    }

    #[test]
    fn a_message_is_lines_of_text() {
        assert_eq!(text(" one\r\n\ttwo\n").as_str(), "one\n\ttwo");
        for (wrong, why) in [
            ("", LENGTH),
            (" \n ", LENGTH),
            ("a\0b", FORM),
            ("a\rb", FORM),
            ("\u{200b}", VISIBLE),
        ] {
            assert_eq!(Text::parse(wrong), Err(why), "{wrong:?}");
        }
        assert!(Text::parse(&"ü".repeat(MAX_MESSAGE_CHARS)).is_ok());
        assert_eq!(Text::parse(&"ü".repeat(MAX_MESSAGE_CHARS + 1)), Err(LENGTH));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Ok(status));
        }
        assert_eq!(Status::parse("Open"), Err(UNKNOWN));
        for author in [Author::Customer, Author::Support] {
            assert_eq!(Author::parse(author.as_str()), Some(author));
        }
        assert_eq!(Author::parse("admin"), None);
    }

    #[test]
    fn a_period_ends_where_the_one_before_begins() {
        let place = Place {
            opened_at: at(PERIOD_SECS * 7 + 5),
            id: Uuid::max(),
        };
        let end = Place::end_of(place.period());
        assert!(end < place);
        assert_eq!((place.period(), end.period()), (7, 7));
    }
}
