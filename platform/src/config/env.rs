//! Reading and collecting problems.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// What the secrets of the local stack begin with. They stand in the repository, so production refuses them.
pub const LOCAL_SECRET_PREFIX: &str = "local-";

/// The environment, and what was found wrong in it so far.
///
/// Every reader returns `None` for a setting that is missing or wrong and notes the problem. Read all settings into
/// variables first and use `?` only afterwards, else the first problem hides the others:
///
/// ```
/// # use platform::config::{Env, HttpConfig};
/// # struct Config { http: HttpConfig, hold: std::time::Duration }
/// fn from_env(env: &mut Env) -> Option<Config> {
///     let http = HttpConfig::from_env(env);
///     let hold = env.or("HOLD", std::time::Duration::from_secs(600));
///     Some(Config { http: http?, hold: hold? })
/// }
/// let problems = Env::from_map([("HOLD", "soon")]).read(from_env);
/// assert_eq!(problems.err().map(|e| e.problems().len()), Some(3));
/// ```
#[derive(Debug)]
pub struct Env {
    values: HashMap<String, SecretString>,
    problems: Vec<SettingProblem>,
}

/// One setting that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// The name of the setting.
    pub name: String,
    /// Whether it is absent or empty; else it is there and wrong.
    pub missing: bool,
    /// What was expected.
    pub expected: String,
}

/// All settings that are missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Vec<SettingProblem>);

impl ConfigError {
    /// Each problem, in the order of reading.
    pub fn problems(&self) -> &[SettingProblem] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the environment is not complete:")?;
        for SettingProblem {
            name,
            missing,
            expected,
        } in &self.0
        {
            let state = if *missing { "is missing" } else { "is wrong" };
            write!(f, "\n  {name} {state}: expected {expected}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// The form in words: "a port from 1 to 65535".
    const EXPECTED: &'static str;

    /// The value; `None` when the text does not have the form.
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! settings_from_str {
    ($($type:ty: $expected:literal,)*) => {$(
        impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}

settings_from_str! {
    String: "text",
    bool: "true or false",
    u16: "a whole number up to 65535",
    u32: "a whole number, not negative",
    u64: "a whole number, not negative",
    usize: "a whole number, not negative",
    i32: "a whole number",
    i64: "a whole number",
    SocketAddr: "an address and a port such as 0.0.0.0:8101",
    Url: "a URL such as http://localhost:8085",
    uuid::Uuid: "a UUID",
    std::path::PathBuf: "a path",
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration such as 500ms, 30s, 10m or 2h";

    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        match unit {
            "ms" => Some(Self::from_millis(number)),
            "s" => Some(Self::from_secs(number)),
            "m" => number.checked_mul(60).map(Self::from_secs),
            "h" => number.checked_mul(3_600).map(Self::from_secs),
            _ => None,
        }
    }
}

impl Env {
    /// The environment of the process.
    pub fn from_process() -> Self {
        // A value that is not Unicode is left out and then named as missing, unless nobody asks for it.
        Self::from_map(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// These settings and no others, for tests.
    pub fn from_map<N: Into<String>, V: Into<String>>(
        values: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self {
            values: values
                .into_iter()
                .map(|(name, value)| (name.into(), SecretString::from(value.into())))
                .collect(),
            problems: Vec::new(),
        }
    }

    /// A setting that must be there.
    pub fn required<T: Setting>(&mut self, name: &str) -> Option<T> {
        match self.text(name) {
            Some(text) => self.parse(name, &text, T::parse, T::EXPECTED),
            None => self.missing(name, T::EXPECTED),
        }
    }

    /// A setting that may be absent. The outer `None` means that it is there and wrong.
    pub fn optional<T: Setting>(&mut self, name: &str) -> Option<Option<T>> {
        match self.text(name) {
            Some(text) => self.parse(name, &text, T::parse, T::EXPECTED).map(Some),
            None => Some(None),
        }
    }

    /// A setting with a default.
    pub fn or<T: Setting>(&mut self, name: &str, default: T) -> Option<T> {
        self.optional(name).map(|found| found.unwrap_or(default))
    }

    /// A setting that must be there and lie in `range`.
    pub fn required_in<T>(&mut self, name: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: Setting + PartialOrd + fmt::Debug,
    {
        let value = self.required(name)?;
        self.within(name, value, &range)
    }

    /// A setting with a default; one that is set must lie in `range`.
    pub fn or_in<T>(&mut self, name: &str, default: T, range: RangeInclusive<T>) -> Option<T>
    where
        T: Setting + PartialOrd + fmt::Debug,
    {
        let value = self.or(name, default)?;
        self.within(name, value, &range)
    }

    /// A setting of any type that can be read from text; `expected` is its form in words.
    pub fn parsed<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        self.required_with(name, expected, |text| text.parse().ok())
    }

    /// A setting that must be there, read by `parse`; `expected` is its form in words.
    pub fn required_with<T>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        match self.text(name) {
            Some(text) => self.parse(name, &text, parse, expected),
            None => self.missing(name, expected),
        }
    }

    /// A secret that must be there. Outside local operation one that begins with [`LOCAL_SECRET_PREFIX`] is refused.
    pub fn secret(&mut self, name: &str) -> Option<SecretString> {
        match self.optional_secret(name)? {
            Some(secret) => Some(secret),
            None => self.missing(name, "a secret"),
        }
    }

    /// Like [`Env::secret`], for one that may be absent. The outer `None` means that it is there and refused.
    pub fn optional_secret(&mut self, name: &str) -> Option<Option<SecretString>> {
        let Some(secret) = self
            .values
            .get(name)
            .filter(|v| !v.expose_secret().is_empty())
        else {
            return Some(None);
        };
        let secret = secret.clone();
        let local = self.text("APP_ENV").as_deref() == Some("local");
        if !local && secret.expose_secret().starts_with(LOCAL_SECRET_PREFIX) {
            let expected = format!(
                "a secret of your own, not one of the local stack that begins with {LOCAL_SECRET_PREFIX}"
            );
            self.reject(name, expected);
            return None;
        }
        Some(Some(secret))
    }

    /// Notes that a setting is there and wrong, for rules over more than one setting.
    pub fn reject(&mut self, name: &str, expected: impl Into<String>) {
        self.problems.push(SettingProblem {
            name: name.to_owned(),
            missing: false,
            expected: expected.into(),
        });
    }

    /// Ends the reading: an error with all problems, if there was one.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(self.problems))
        }
    }

    /// Reads a whole configuration: what `from_env` returns, or all problems.
    pub fn read<T>(
        mut self,
        from_env: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let config = from_env(&mut self);
        self.finish()?;
        // Only a reader that gives up without noting why comes here.
        config.ok_or_else(|| {
            ConfigError(vec![SettingProblem {
                name: "(unnamed)".to_owned(),
                missing: false,
                expected: "a reader that notes its problem".to_owned(),
            }])
        })
    }

    /// The text of a setting. Empty is absent: compose files and manifests pass unset variables on as empty ones.
    fn text(&self, name: &str) -> Option<String> {
        let text = self.values.get(name)?.expose_secret().trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn parse<T>(
        &mut self,
        name: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let value = parse(text);
        if value.is_none() {
            self.reject(name, expected);
        }
        value
    }

    fn within<T>(&mut self, name: &str, value: T, range: &RangeInclusive<T>) -> Option<T>
    where
        T: Setting + PartialOrd + fmt::Debug,
    {
        if range.contains(&value) {
            return Some(value);
        }
        let expected = format!(
            "{} from {:?} to {:?}",
            T::EXPECTED,
            range.start(),
            range.end()
        );
        self.reject(name, expected);
        None
    }

    /// Notes that a setting is absent.
    pub(super) fn missing<T>(&mut self, name: &str, expected: &str) -> Option<T> {
        self.problems.push(SettingProblem {
            name: name.to_owned(),
            missing: true,
            expected: expected.to_owned(),
        });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems<T: fmt::Debug>(read: Result<T, ConfigError>) -> Vec<(String, bool)> {
        let error = read.expect_err("a wrong environment");
        error
            .problems()
            .iter()
            .map(|problem| (problem.name.clone(), problem.missing))
            .collect()
    }

    #[test]
    fn the_error_says_what_was_expected() {
        let mut env = Env::from_map([("POOL", "0")]);
        assert_eq!(env.or_in("POOL", 4_u32, 1..=64), None);
        assert_eq!(env.required_in::<u32>("SIZE", 1..=64), None);
        assert_eq!(
            env.finish().expect_err("two problems").to_string(),
            "the environment is not complete:\n  \
             POOL is wrong: expected a whole number, not negative from 1 to 64\n  \
             SIZE is missing: expected a whole number, not negative"
        );
    }

    #[test]
    fn empty_is_absent() {
        let mut env = Env::from_map([("A", ""), ("B", "  "), ("C", " 7 ")]);
        assert_eq!(env.optional::<String>("A"), Some(None));
        assert_eq!(env.or("B", 3_u32), Some(3));
        assert_eq!(env.required::<u32>("C"), Some(7));
        assert!(env.secret("A").is_none());
        assert_eq!(problems(env.finish()), [("A".to_owned(), true)]);
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, expected) in [
            ("500ms", Some(Duration::from_millis(500))),
            ("30s", Some(Duration::from_secs(30))),
            ("10m", Some(Duration::from_secs(600))),
            ("2h", Some(Duration::from_secs(7_200))),
            ("0s", Some(Duration::ZERO)),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1d", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(Duration::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn secrets_of_the_local_stack_are_for_local_operation_only() {
        for (app_env, secret, accepted) in [
            ("local", "local-database", true),
            ("production", "local-database", false),
            ("", "local-database", false),
            ("production", "kT4vJ2", true),
        ] {
            let mut env = Env::from_map([("APP_ENV", app_env), ("PASSWORD", secret)]);
            assert_eq!(
                env.secret("PASSWORD").is_some(),
                accepted,
                "{app_env} {secret}"
            );
            assert_eq!(env.finish().is_ok(), accepted);
        }
    }

    #[test]
    fn debug_output_has_no_values() {
        let env = Env::from_map([("STRIPE_KEY", "hunter2")]);
        assert!(!format!("{env:?}").contains("hunter2"));
    }
}
