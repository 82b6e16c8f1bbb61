//! What a topic's settings must be, lest records be lost that it is to keep, or kept that are to go.

use schemas::topics::Kind;

use crate::config::KafkaConfig;

/// Copies of a record from which on it must be on two of them before it is acknowledged.
const COPIES_TO_SPARE: i32 = 3;
const MIN_INSYNC: &str = "min.insync.replicas";

/// A setting that loses records, or keeps those that must go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) setting: &'static str,
    /// On the broker.
    pub(super) found: String,
    /// What mends it.
    pub(super) wanted: String,
}

/// The settings with which a topic of this kind is created.
pub(super) fn of_new_topic(kind: Kind, config: &KafkaConfig) -> Vec<(&'static str, String)> {
    let mut settings = kind.settings();
    settings.extend(min_insync(config));
    settings
}

/// With three copies an acknowledged record must be on two of them.
pub(super) fn min_insync(config: &KafkaConfig) -> Option<(&'static str, String)> {
    (config.replication_factor >= COPIES_TO_SPARE).then(|| (MIN_INSYNC, "2".to_owned()))
}

/// The first setting by which a topic of this kind would not do what it is for; `found` is what the broker says of one.
///
/// Who keeps more than is wanted may, but for two kinds: links that open an account are to be gone within the hour, and
/// what is overwritten of persons as well.
pub(super) fn loss<'a>(
    kind: Kind,
    config: &KafkaConfig,
    found: impl Fn(&str) -> Option<&'a str>,
) -> Option<Loss> {
    of_new_topic(kind, config)
        .into_iter()
        .find_map(|(setting, wanted)| {
            let found = found(setting).unwrap_or("nothing");
            let keeps = match setting {
                "cleanup.policy" => found == wanted,
                "retention.ms" if matches!(kind, Kind::SecretLog) => found == wanted,
                "segment.ms" | "max.compaction.lag.ms"
                    if matches!(kind, Kind::SecretLog | Kind::PersonalTable) =>
                {
                    at_most(found, &wanted)
                }
                "retention.ms" | "retention.bytes" | MIN_INSYNC => {
                    at_least(setting, found, &wanted)
                }
                // How soon, not whether.
                _ => true,
            };
            (!keeps).then(|| Loss {
                setting,
                found: found.to_owned(),
                wanted,
            })
        })
}

/// Whether the broker's number is not above the wanted one.
fn at_most(found: &str, wanted: &str) -> bool {
    let number = |text: &str| text.parse::<i64>().ok();
    number(found).is_some_and(|found| (0..=number(wanted).unwrap_or(0)).contains(&found))
}

/// Whether the broker's number is not below the wanted one. A retention of -1 has no end.
fn at_least(setting: &str, found: &str, wanted: &str) -> bool {
    let number = |text: &str| {
        let number = text.parse::<i64>().ok()?;
        let endless = number == -1 && setting != MIN_INSYNC;
        Some(if endless { i64::MAX } else { number })
    };
    number(found).is_some_and(|found| Some(found) >= number(wanted))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(replication_factor: i32) -> KafkaConfig {
        KafkaConfig {
            brokers: "localhost:9092".to_owned(),
            schema_registry_url: "http://localhost:8081".parse().expect("a URL"),
            event_partitions: 24,
            replication_factor,
        }
    }

    /// What is lost on a topic that was made for one copy and then had `changed` settings.
    fn lost(kind: Kind, copies: i32, changed: &[(&'static str, &str)]) -> Option<Loss> {
        let made = of_new_topic(kind, &config(1)).into_iter();
        let mut found: BTreeMap<&str, String> = made.collect();
        found.insert(MIN_INSYNC, "1".to_owned());
        for (setting, value) in changed {
            found.insert(setting, (*value).to_owned());
        }
        loss(kind, &config(copies), |setting| {
            found.get(setting).map(String::as_str)
        })
    }

    #[test]
    fn as_created_nothing_is_lost() {
        for kind in [
            Kind::Table,
            Kind::PersonalTable,
            Kind::StateTable,
            Kind::LogFor(1000),
            Kind::SecretLog,
            Kind::LogForEver,
        ] {
            assert_eq!(lost(kind, 1, &[]), None, "{kind:?}");
        }
    }

    #[test]
    fn three_copies_want_two_of_them_acknowledged() {
        let two = (MIN_INSYNC, "2".to_owned());
        for copies in [3, 5] {
            assert!(of_new_topic(Kind::LogForEver, &config(copies)).contains(&two));
        }
        for copies in [1, 2] {
            assert_eq!(min_insync(&config(copies)), None);
        }
        let loss = lost(Kind::Table, 3, &[]).expect("a record on one copy is lost with it");
        let Loss {
            setting,
            found,
            wanted,
        } = loss;
        assert_eq!((setting, &*found, &*wanted), (MIN_INSYNC, "1", "2"));
        for enough in ["2", "3"] {
            assert_eq!(lost(Kind::Table, 3, &[(MIN_INSYNC, enough)]), None);
        }
    }

    #[test]
    fn a_ledger_that_ends_is_refused() {
        for (setting, value) in [
            ("retention.ms", "604800000"),
            ("retention.bytes", "1073741824"),
            ("cleanup.policy", "compact"),
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "no number"),
        ] {
            let loss = lost(Kind::LogForEver, 1, &[(setting, value)]);
            let loss = loss.map(|loss| (loss.setting, loss.found));
            assert_eq!(loss, Some((setting, value.to_owned())));
        }
    }

    #[test]
    fn a_table_that_deletes_is_refused() {
        for kind in [Kind::Table, Kind::PersonalTable, Kind::StateTable] {
            assert!(lost(kind, 1, &[("cleanup.policy", "compact,delete")]).is_some());
        }
    }

    #[test]
    fn a_log_may_be_kept_longer() {
        let kept = |ms| lost(Kind::LogFor(1000), 1, &[("retention.ms", ms)]);
        assert!(kept("999").is_some());
        assert_eq!(kept("1001"), None);
        assert_eq!(kept("-1"), None);
    }

    #[test]
    fn secrets_that_stay_longer_are_refused() {
        let kept = |setting, ms| lost(Kind::SecretLog, 1, &[(setting, ms)]);
        for (setting, ms) in [
            ("retention.ms", "3600001"),
            ("retention.ms", "-1"),
            ("retention.ms", "3599999"),
            // Only closed segments are deleted.
            ("segment.ms", "604800000"),
        ] {
            let found = kept(setting, ms).map(|loss| (loss.setting, loss.found));
            assert_eq!(found, Some((setting, ms.to_owned())));
        }
        assert_eq!(kept("segment.ms", "60000"), None);
    }

    #[test]
    fn persons_who_stay_longer_are_refused() {
        let kept = |kind, setting, ms| lost(kind, 1, &[(setting, ms)]);
        for setting in ["max.compaction.lag.ms", "segment.ms"] {
            for ms in ["3600001", "9223372036854775807", "-1", "no number"] {
                let found = kept(Kind::PersonalTable, setting, ms);
                assert_eq!(found.map(|loss| loss.setting), Some(setting), "{ms}");
            }
            assert_eq!(kept(Kind::PersonalTable, setting, "60000"), None);
            // Here it is a matter of speed.
            assert_eq!(kept(Kind::StateTable, setting, "3600001"), None);
        }
    }
}
