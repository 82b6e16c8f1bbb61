//! Tests of the module above.

use super::*;
use std::time::Duration;

use platform::config::Rate;

use crate::domain::email::Email;

fn rate(times: u32) -> Rate {
    Rate::new(times, 3_600)
}

/// Two of each, but as many sign-ins and strangers as given.
fn limits(sign_ins: u32, strangers: u32) -> Limits {
    Limits::new(&LimitConfig {
        sign_ins: rate(sign_ins),
        guesses: rate(2),
        strangers: rate(strangers),
        registrations: rate(2),
        mail_requests: rate(2),
        mails: rate(2),
        links: rate(2),
        case_messages: rate(2),
        exports: rate(2),
    })
}

fn account(email: &str) -> EmailKey {
    Email::parse(email).unwrap().key()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn who_guesses_uses_up_what_is_his_and_nothing_of_the_owners() {
    let limits = limits(100, 100);
    let (alice, bruno) = (account("alice@example.com"), account("bruno@example.com"));
    let (home, elsewhere) = (address("203.0.113.7"), address("198.51.100.1"));
    for _ in 0..2 {
        limits.password(elsewhere, &alice).unwrap();
    }
    let refused = limits.password(elsewhere, &alice).unwrap_err();
    let a_bucket = Duration::from_secs(1_800);
    assert!(refused.wait > a_bucket / 2 && refused.wait <= a_bucket);
    limits.password(home, &alice).unwrap();
    limits.password(elsewhere, &bruno).unwrap();
    // In any case of the address.
    let refused = limits.password(elsewhere, &account("Alice@Example.com"));
    assert!(refused.is_err());
}

#[test]
fn an_address_and_an_account_have_a_limit_of_their_own() {
    let limits = limits(3, 3);
    let (here, there) = (address("203.0.113.7"), address("203.0.113.8"));
    for number in 0..3 {
        let one_of_many = account(&format!("person-{number}@example.com"));
        limits.password(here, &one_of_many).unwrap();
        limits.stranger(&account("alice@example.com")).unwrap();
    }
    let next = account("person-3@example.com");
    assert!(limits.password(here, &next).is_err());
    limits.password(there, &next).unwrap();
    assert!(limits.stranger(&account("alice@example.com")).is_err());
    limits.stranger(&next).unwrap();
}

#[test]
fn strangers_use_up_no_mail_of_who_is_signed_in() {
    let limits = limits(100, 100);
    let (present, next) = (account("alice@example.com"), account("alice@example.org"));
    let [alice, bruno, clara] = [1, 2, 3].map(Uuid::from_u128);
    for email in [&present, &next] {
        for _ in 0..2 {
            limits.mail(email).unwrap();
        }
        assert!(limits.mail(email).is_err());
    }
    limits.own_mail(alice).unwrap();
    limits.wish(alice, &next).unwrap();
    // Two in all, whatever they are for, and what is refused takes nothing from others.
    assert!(limits.own_mail(alice).is_err());
    for _ in 0..5 {
        assert!(limits.wish(alice, &next).is_err());
    }
    limits.wish(bruno, &next).unwrap();
    // One mailbox has its limit, however many accounts wish for it.
    assert!(limits.wish(clara, &next).is_err());
    limits.wish(clara, &present).unwrap();
}

#[test]
fn of_ipv6_a_whole_household_is_one_address() {
    let limits = limits(100, 100);
    for host in ["2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"] {
        limits.registration(address(host)).unwrap();
    }
    assert!(limits.registration(address("2001:db8:0:1::2")).is_err());
    limits.registration(address("2001:db8:0:2::1")).unwrap();
}
