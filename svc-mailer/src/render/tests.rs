use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use uuid::Uuid;

use super::*;
use crate::domain::order::Ticket;

fn renderer() -> Renderer {
    Renderer::new("http://localhost:8080".parse().unwrap()).unwrap()
}

fn order(kinds: &[&str]) -> Cause {
    let price = Money::new(2_500, Currency::EUR);
    Cause::PaymentConfirmed(PaidOrder {
        id: Uuid::from_u128(1),
        event_id: Uuid::from_u128(2),
        user_id: Uuid::from_u128(3),
        number: "O-7KQ2M4ZP3A".into(),
        tickets: (41..)
            .zip(kinds)
            .map(|(number, kind)| Ticket { number, kind: (*kind).into(), price })
            .collect(),
        total: price.checked_mul(kinds.len().try_into().unwrap()).unwrap(),
    })
}

fn recipient(name: &str, locale: &str) -> Recipient {
    Recipient {
        user_id: Uuid::from_u128(3),
        version: 1,
        name: name.into(),
        email: "alice@example.com".into(),
        locale: locale.into(),
    }
}

fn event(name: &str) -> Event {
    Event {
        id: Uuid::from_u128(2),
        version: 1,
        name: name.into(),
        venue_name: "L'Olympia".into(),
        venue_city: "Paris".into(),
        venue_address: "28 bd des Capucines".into(),
        starts_at: Timestamp::parse("2026-05-01T18:00:00Z").unwrap(),
        time_zone: "Europe/Paris".into(),
    }
}

fn mail(locale: &str, kinds: &[&str]) -> Mail {
    let recipient = recipient("Alice", locale);
    renderer().render(&order(kinds), &recipient, &event("Night of the Proms")).unwrap()
}

#[test]
fn in_english() {
    let mail = mail("en", &["general", "vip"]);
    insta::assert_snapshot!(mail.subject, @"");
    insta::assert_snapshot!(mail.text, @"");
    insta::assert_snapshot!(mail.html, @"");
}

#[test]
fn in_french() {
    let mail = mail("fr-CA", &["general"]);
    insta::assert_snapshot!(mail.subject, @"");
    insta::assert_snapshot!(mail.text, @"");
    insta::assert_snapshot!(mail.html, @"");
}

#[test]
fn in_spanish() {
    let mail = mail("es", &["backstage"]);
    insta::assert_snapshot!(mail.subject, @"");
    insta::assert_snapshot!(mail.text, @"");
}

#[test]
fn a_language_without_texts_is_english() {
    assert_eq!(mail("de", &["vip"]).language, Language::En);
}

#[test]
fn what_people_typed_is_text_and_stays_on_its_line() {
    let cause = order(&["<b>vip</b>"]);
    let recipient = recipient("<script>alert('hi')</script>\r\nBcc: eve@example.com", "en");
    let mail = renderer().render(&cause, &recipient, &event("Tom & Jerry\n<img src=x>")).unwrap();
    for markup in ["<script", "<b>", "<img"] {
        assert!(!mail.html.contains(markup), "{}", mail.html);
    }
    assert!(mail.html.contains("Tom &amp; Jerry &lt;img src=x&gt;"), "{}", mail.html);
    assert_eq!(mail.subject, "Your tickets for Tom & Jerry <img src=x>");
    assert!(mail.text.starts_with("Hello <script>alert('hi')</script> Bcc: eve@example.com,\n"));
}
