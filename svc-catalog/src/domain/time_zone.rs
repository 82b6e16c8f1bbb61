//! The time zones that an event can have.

use jiff::tz::TimeZoneDatabase;

/// The name of an IANA time zone as the database spells it: `europe/paris` gives `Europe/Paris`. `None` when there is
/// no such zone.
///
/// Asks the database that is compiled in: an instance on another machine must not know other zones.
pub fn known_zone(name: &str) -> Option<String> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    zone.iana_name().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

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
