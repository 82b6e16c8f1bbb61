//! A moment as somebody wrote it down.

use std::fmt;

use platform::clock::Timestamp;
use platform::http::{Code, Problem};
use serde::{Deserialize, Deserializer, de};

use crate::domain::time_zone::skipped;

/// RFC 3339, with the offset in which it was written: with it, it also says what a clock on the wall shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// When.
    pub(super) at: Timestamp,
    /// `None` for a moment in UTC, which is meant to be no clock's.
    offset_seconds: Option<i32>,
}

impl Moment {
    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            at: Timestamp::parse(text).ok()?,
            offset_seconds: offset_seconds(text),
        })
    }
}

/// Of a text in RFC 3339, which ends with `Z` or with an offset such as `+02:00`.
fn offset_seconds(text: &str) -> Option<i32> {
    let (behind, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let sign = match offset.get(..1)? {
        "+" => 1,
        "-" if behind.contains(':') => -1,
        _ => return None,
    };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some(sign * (hours * 60 + minutes) * 60)
}

/// 422 that names every field whose time clocks in this zone skip. Whether there is such a zone is asked elsewhere.
pub(super) fn check_clocks(
    zone: &str,
    moments: &[(&'static str, Option<Moment>)],
) -> Result<(), Problem> {
    let skipped = moments.iter().filter_map(|(field, moment)| {
        let Moment { at, offset_seconds } = (*moment)?;
        Some((*field, skipped(zone, at, offset_seconds?)?))
    });
    let problems: Vec<_> = skipped.collect();
    if problems.is_empty() {
        return Ok(());
    }
    let problems = problems.into_iter();
    Err(
        problems.fold(Problem::new(Code::Invalid), |problem, (field, detail)| {
            problem.field(field, "gap", detail)
        }),
    )
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date and time in RFC 3339")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
                // Its own words for what is no moment.
                Timestamp::parse(text).map_err(E::custom)?;
                Moment::parse(text).ok_or_else(|| E::custom("no moment"))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_the_one_that_was_written() {
        for (text, expected) in [
            ("2027-03-28T01:30:00Z", None),
            ("2027-03-28T02:30:00+01:00", Some(3_600)),
            ("2027-03-28T02:30:00.123456-09:30", Some(-34_200)),
            ("2027-03-28T02:30:00+00:00", Some(0)),
        ] {
            let moment = Moment::parse(text).expect(text);
            assert_eq!(moment.offset_seconds, expected, "{text}");
            assert_eq!(Ok(moment.at), Timestamp::parse(text));
        }
        assert!(
            Moment::parse("2027-03-28T02:30:00").is_none(),
            "whose clock?"
        );
    }

    #[test]
    fn every_skipped_time_is_named() {
        let moment = |text| Some(Moment::parse(text).expect(text));
        let skipped = moment("2027-03-28T02:30:00+01:00");
        let fine = moment("2027-03-28T03:30:00+02:00");
        let check = |zone, moments: [Option<Moment>; 2]| {
            check_clocks(zone, &[("/a", moments[0]), ("/b", moments[1])])
        };
        assert!(check("Europe/Paris", [fine, None]).is_ok());
        assert!(check("Asia/Tokyo", [skipped, skipped]).is_ok());
        assert!(
            check("Europe/Atlantis", [skipped, skipped]).is_ok(),
            "named elsewhere"
        );
        let problem = check("Europe/Paris", [skipped, skipped]).unwrap_err();
        assert_eq!(problem.status(), 422);
        let said = format!("{problem:?}");
        assert!(said.contains("/a") && said.contains("/b"), "{said}");
    }
}
