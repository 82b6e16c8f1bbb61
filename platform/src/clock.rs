//! Time. Rules take a [`Timestamp`] as an argument; only shells ask [`Timestamp::now`], so that every rule can be tested
//! at any moment and a replay sees the time of the record and not its own.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in UTC, in microseconds since 1970-01-01: the precision of Avro's `timestamp-micros`.
///
/// Always within the years 0000 to 9999, so that each one can be written as RFC 3339; what would lie outside is moved
/// to the nearer end.
/// The default is the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The wall clock. The only place that reads it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the wall clock is read"
    )]
    pub fn now() -> Self {
        Self::from(OffsetDateTime::now_utc())
    }

    /// The wall clock, as it will be read from a row.
    pub fn now_millis() -> Self {
        Self::from_millis(Self::now().as_millis())
    }

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// From milliseconds since the epoch: the precision of CQL's `timestamp`.
    pub const fn from_millis(millis: i64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// From whole seconds since the epoch: the precision of a JWT.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_micros(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Year in UTC.
    pub fn year(self) -> i32 {
        OffsetDateTime::from(self).year()
    }

    /// Later by `by`, at most [`Timestamp::MAX`].
    pub fn saturating_add(self, by: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros(by)))
    }

    /// Earlier by `by`, at least [`Timestamp::MIN`].
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros(by)))
    }

    /// The time from `earlier` to this moment; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC: `2026-05-01T18:00:00Z`, with six digits of fraction where there is one.
    pub fn to_rfc3339(self) -> String {
        let at = OffsetDateTime::from(self);
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second, micro) = at.to_hms_micro();
        let month = u8::from(month);
        if micro == 0 {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
        } else {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
        }
    }

    /// Reads RFC 3339 with any offset; what is finer than a microsecond is cut off.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(Self::from)
            .map_err(|_| TimestampError)
    }
}

/// A duration in microseconds, as far as they fit.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The text is not a moment in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a date and time in RFC 3339, such as 2026-05-01T18:00:00Z")]
pub struct TimestampError;

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        self.saturating_add(by)
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        self.saturating_sub(by)
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        let micros = at.unix_timestamp_nanos().div_euclid(1_000);
        Self::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(at: Timestamp) -> Self {
        Self::from_unix_timestamp_nanos(i128::from(at.0) * 1_000)
            .expect("a Timestamp lies within the years that OffsetDateTime covers")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date and time in RFC 3339")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment in RFC 3339; answers are in UTC."))
            .examples(["2026-05-01T18:00:00Z"])
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc_3339_is_read_and_written() {
        for (text, micros, written) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            (
                "1969-12-31T23:59:59.5Z",
                -500_000,
                "1969-12-31T23:59:59.500000Z",
            ),
            (
                "2026-05-01T20:00:00+02:00",
                1_777_658_400_000_000,
                "2026-05-01T18:00:00Z",
            ),
            (
                "2026-05-01T18:00:00.0000019Z",
                1_777_658_400_000_001,
                "2026-05-01T18:00:00.000001Z",
            ),
            (
                "0000-01-01T00:00:00Z",
                Timestamp::MIN.0,
                "0000-01-01T00:00:00Z",
            ),
            (
                "9999-12-31T23:59:59.999999Z",
                Timestamp::MAX.0,
                "9999-12-31T23:59:59.999999Z",
            ),
            // An offset can push a moment out of the years that can be written.
            (
                "9999-12-31T23:59:59-01:00",
                Timestamp::MAX.0,
                "9999-12-31T23:59:59.999999Z",
            ),
        ] {
            let at = Timestamp::parse(text).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(at.as_micros(), micros, "{text}");
            assert_eq!(at.to_rfc3339(), written, "{text}");
        }
        for text in [
            "",
            "2026-05-01",
            "2026-05-01T18:00:00",
            "2026-13-01T00:00:00Z",
            "1777658400",
        ] {
            assert_eq!(Timestamp::parse(text), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn json_is_a_string_and_nothing_else() {
        let at = Timestamp::from_seconds(1_777_658_400);
        assert_eq!(
            serde_json::to_string(&at).unwrap(),
            r#""2026-05-01T18:00:00Z""#
        );
        assert_eq!(
            serde_json::from_str::<Timestamp>(r#""2026-05-01T18:00:00Z""#).unwrap(),
            at
        );
        assert!(serde_json::from_str::<Timestamp>("1777658400").is_err());
    }

    #[test]
    fn sums_stop_at_the_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp::MAX + second, Timestamp::MAX);
        assert_eq!(Timestamp::MIN - second, Timestamp::MIN);
        assert_eq!(Timestamp::EPOCH + Duration::MAX, Timestamp::MAX);
        assert_eq!((Timestamp::EPOCH + second).since(Timestamp::EPOCH), second);
        assert_eq!(
            Timestamp::EPOCH.since(Timestamp::EPOCH + second),
            Duration::ZERO
        );
        assert_eq!(Timestamp::from_micros(-1).as_millis(), -1);
        assert_eq!(Timestamp::from_micros(-1).as_seconds(), -1);
    }

    #[test]
    fn now_is_after_this_code_was_written() {
        assert!(Timestamp::now() > Timestamp::from_seconds(1_700_000_000));
    }

    proptest! {
        #[test]
        fn any_moment_survives_text_and_offset_date_time(micros in any::<i64>()) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(Timestamp::parse(&at.to_rfc3339()), Ok(at));
            prop_assert_eq!(Timestamp::from(OffsetDateTime::from(at)), at);
        }
    }
}
