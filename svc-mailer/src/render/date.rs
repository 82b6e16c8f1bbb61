//! Dates as people read them, by the clock at the door of the event.

use jiff::Zoned;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use platform::clock::Timestamp;
use platform::http::Language;

const WEEKDAYS: [[&str; 7]; 3] = [
    [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ],
    [
        "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche",
    ],
    [
        "lunes",
        "martes",
        "miércoles",
        "jueves",
        "viernes",
        "sábado",
        "domingo",
    ],
];
const MONTHS: [[&str; 12]; 3] = [
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
];

/// `Friday, 1 May 2026 at 20:00 (Europe/Paris)`. In UTC, and saying so, when the zone is not known.
pub(super) fn format(at: Timestamp, time_zone: &str, language: Language) -> String {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    let zone_name = zone.iana_name().unwrap_or("UTC").to_owned();
    let instant = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::MAX);
    let local = Zoned::new(instant, zone);
    let row = match language {
        Language::En => 0,
        Language::Fr => 1,
        Language::Es => 2,
    };
    let weekday = WEEKDAYS[row][weekday_index(local.weekday())];
    let month = MONTHS[row][usize::from(local.month().unsigned_abs()) - 1];
    let (day, year) = (local.day(), local.year());
    let time = format!("{:02}:{:02}", local.hour(), local.minute());
    match language {
        Language::En => format!("{weekday}, {day} {month} {year} at {time} ({zone_name})"),
        Language::Fr => {
            let day = if day == 1 {
                "1er".to_owned()
            } else {
                day.to_string()
            };
            format!("{weekday} {day} {month} {year} à {time} ({zone_name})")
        }
        Language::Es => {
            format!("{weekday}, {day} de {month} de {year}, {time} ({zone_name})")
        }
    }
}

fn weekday_index(weekday: Weekday) -> usize {
    usize::from(weekday.to_monday_zero_offset().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_clock_at_the_door_counts() {
        let at = Timestamp::parse("2026-05-01T22:30:00Z").unwrap();
        for (zone, language, expected) in [
            (
                "Europe/Paris",
                Language::En,
                "Saturday, 2 May 2026 at 00:30 (Europe/Paris)",
            ),
            (
                "America/New_York",
                Language::Fr,
                "vendredi 1er mai 2026 à 18:30 (America/New_York)",
            ),
            (
                "Europe/Madrid",
                Language::Es,
                "sábado, 2 de mayo de 2026, 00:30 (Europe/Madrid)",
            ),
            (
                "Mars/Olympus",
                Language::En,
                "Friday, 1 May 2026 at 22:30 (UTC)",
            ),
        ] {
            assert_eq!(format(at, zone, language), expected);
        }
    }

    proptest! {
        #[test]
        fn every_moment_has_a_text(micros in any::<i64>(), language in 0..3_usize) {
            let text = format(Timestamp::from_micros(micros), "Asia/Kolkata", Language::ALL[language]);
            prop_assert!(text.ends_with("(Asia/Kolkata)"));
        }
    }
}
