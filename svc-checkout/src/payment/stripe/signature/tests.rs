use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const SECRET: &str = "whsec_of_the_tests";
const NOW_SECONDS: i64 = 1_795_343_891;

/// Made by Stripe's official Python library: `tests/stripe/make_vectors.py` says how.
const VECTORS: &str = include_str!("../../../../tests/stripe/vectors.json");

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    secrets: Vec<String>,
    header: Option<String>,
    body: String,
    now: f64,
    accepted: bool,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * MICROS_PER_SECOND)
}

fn signatures(secrets: &[&str]) -> Signatures {
    let secrets: Vec<SecretString> = secrets.iter().map(|s| SecretString::from(*s)).collect();
    Signatures::new(&secrets)
}

fn sign(secret: &str, seconds: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("t={seconds},v1={}", signature(&key, seconds, body))
}

#[test]
fn we_judge_as_stripes_own_library() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = vectors.cases.iter().partition(|case| case.accepted);
    assert!(
        good.len() >= 8 && bad.len() >= 15,
        "{} {}",
        good.len(),
        bad.len()
    );
    for case in vectors.cases {
        let secrets: Vec<&str> = case.secrets.iter().map(String::as_str).collect();
        let now = Timestamp::from_micros((case.now * MICROS_PER_SECOND as f64).round() as i64);
        let judged = signatures(&secrets).check(case.header.as_deref(), case.body.as_bytes(), now);
        assert_eq!(judged.is_ok(), case.accepted, "{}: {judged:?}", case.name);
    }
}

#[test]
fn it_is_said_what_is_wrong() {
    let ours = signatures(&[SECRET]);
    let good = sign(SECRET, NOW_SECONDS, b"{}");
    let check =
        |header: Option<&str>, later: i64| ours.check(header, b"{}", at(NOW_SECONDS + later));
    assert_eq!(check(Some(&good), 300), Ok(()));
    assert_eq!(check(Some(&good), 301), Err(SignatureError::TooOld));
    // Not "too old" for one who only guesses.
    let forged = sign("another", NOW_SECONDS, b"{}");
    assert_eq!(check(Some(&forged), 301), Err(SignatureError::Wrong));
    assert_eq!(check(None, 0), Err(SignatureError::Unreadable));
    assert_eq!(check(Some("v1=00"), 0), Err(SignatureError::Unreadable));
    assert_eq!(check(Some("t=1"), 0), Err(SignatureError::Unreadable));
    assert_eq!(
        signatures(&[]).check(Some(&good), b"{}", at(NOW_SECONDS)),
        Err(SignatureError::Wrong)
    );
}

#[test]
fn secrets_are_not_shown() {
    assert!(!format!("{:?}", signatures(&[SECRET])).contains(SECRET));
}

proptest! {
    #[test]
    fn what_was_signed_is_believed(body: Vec<u8>, age in 0..=TOLERANCE_SECONDS) {
        let header = sign(SECRET, NOW_SECONDS, &body);
        let both = signatures(&["the next secret", SECRET]);
        prop_assert_eq!(both.check(Some(&header), &body, at(NOW_SECONDS + age)), Ok(()));
    }

    #[test]
    fn a_changed_body_is_not(body in proptest::collection::vec(any::<u8>(), 1..200), at_byte: prop::sample::Index, bit in 0..8_u8) {
        let header = sign(SECRET, NOW_SECONDS, &body);
        let mut changed = body.clone();
        changed[at_byte.index(body.len())] ^= 1 << bit;
        let judged = signatures(&[SECRET]).check(Some(&header), &changed, at(NOW_SECONDS));
        prop_assert_eq!(judged, Err(SignatureError::Wrong));
    }

    #[test]
    fn nor_another_time_or_signature(body: Vec<u8>, by in 1..1_000_i64, at_digit in 0..64_usize) {
        let header = sign(SECRET, NOW_SECONDS, &body);
        let signed = header.split_once(",v1=").unwrap().1.to_owned();
        let later = format!("t={},v1={signed}", NOW_SECONDS + by);
        let ours = signatures(&[SECRET]);
        prop_assert_eq!(ours.check(Some(&later), &body, at(NOW_SECONDS)), Err(SignatureError::Wrong));
        let mut digits = signed.into_bytes();
        digits[at_digit] = if digits[at_digit] == b'0' { b'1' } else { b'0' };
        let other = format!("t={NOW_SECONDS},v1={}", String::from_utf8(digits).unwrap());
        prop_assert_eq!(ours.check(Some(&other), &body, at(NOW_SECONDS)), Err(SignatureError::Wrong));
    }

    #[test]
    fn no_header_makes_us_stumble(header in "[tv01=,a-f0-9 -]{0,80}") {
        let judged = signatures(&[SECRET]).check(Some(&header), b"{}", at(NOW_SECONDS));
        prop_assert!(judged.is_err());
    }
}
