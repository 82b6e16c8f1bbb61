//! The time zones that an event can have.

use jiff::tz::{AmbiguousOffset, Offset, TimeZoneDatabase};
use platform::clock::Timestamp;

/// The name of an IANA time zone as the database spells it: `europe/paris` gives `Europe/Paris`. `None` when there is
/// no such zone.
///
/// Asks the database that is compiled in: an instance on another machine must not know other zones.
pub fn known_zone(name: &str) -> Option<String> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    zone.iana_name().map(str::to_owned)
}

/// What is wrong with a time that clocks in `zone` skip when they are put forward: `at`, written with an offset of so many
/// seconds. `None`: they show it, or it was not written in one of the two offsets that the zone has around that moment, so
/// that it is no time of its clocks. The same moment in UTC is always fine.
pub fn skipped(zone: &str, at: Timestamp, offset_seconds: i32) -> Option<String> {
    let known = TimeZoneDatabase::bundled().get(zone).ok()?;
    let offset = Offset::from_seconds(offset_seconds).ok()?;
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
    let clock = offset.to_datetime(at);
    match known.to_ambiguous_timestamp(clock).offset() {
        AmbiguousOffset::Gap { before, after } if [before, after].contains(&offset) => {
            Some(format!(
                "{clock} does not exist in {zone}: clocks are put forward and skip it; give another time, or one in UTC"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_clocks_skip_is_told_from_all_others() {
        for (zone, text, offset_hours, expected) in [
            ("Europe/Paris", "2027-03-28T02:30:00+01:00", 1, true),
            ("Europe/Paris", "2027-03-28T02:00:00+01:00", 1, true),
            ("Europe/Paris", "2027-03-28T02:59:59.999+02:00", 2, true),
            ("Europe/Paris", "2027-03-28T01:59:59+01:00", 1, false),
            ("Europe/Paris", "2027-03-28T03:00:00+02:00", 2, false),
            // Twice, and the offset says which.
            ("Europe/Paris", "2027-10-31T02:30:00+01:00", 1, false),
            ("Europe/Paris", "2027-10-31T02:30:00+02:00", 2, false),
            // Somebody else's clock.
            ("Europe/Paris", "2027-03-28T02:30:00+09:00", 9, false),
            ("Asia/Tokyo", "2027-03-28T02:30:00+09:00", 9, false),
            ("America/New_York", "2027-03-14T02:30:00-05:00", -5, true),
            ("Europe/London", "2027-03-28T01:30:00+00:00", 0, true),
            ("Europe/Atlantis", "2027-03-28T02:30:00+01:00", 1, false),
        ] {
            let at = Timestamp::parse(text).unwrap();
            let found = skipped(zone, at, offset_hours * 3_600);
            assert_eq!(found.is_some(), expected, "{text} in {zone}: {found:?}");
        }
        let at = Timestamp::parse("2027-03-28T02:30:00+01:00").unwrap();
        let said = skipped("Europe/Paris", at, 3_600).unwrap();
        assert!(
            said.starts_with("2027-03-28T02:30:00 does not exist in Europe/Paris"),
            "{said}"
        );
    }

    #[test]
    fn only_iana_names_are_zones() {
        for (name, expected) in [
            ("Europe/Paris", Some("Europe/Paris")),
            ("america/new_york", Some("America/New_York")),
            ("UTC", Some("UTC")),
            ("Asia/Kolkata", Some("Asia/Kolkata")),
            ("", None),
            ("CEST", None),
            ("+02:00", None),
            ("Europe/Atlantis", None),
            ("Etc/Unknown", None),
            ("../etc/passwd", None),
        ] {
            assert_eq!(known_zone(name).as_deref(), expected, "{name}");
        }
    }
}
