mod account_changes;
mod ended_orders;

use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use uuid::Uuid;

use super::*;
use crate::domain::order::{Ticket, UsedVoucher};

fn renderer() -> Renderer {
    Renderer::new("http://localhost:8080".parse().unwrap()).unwrap()
}

fn order(kinds: &[&str]) -> PaidOrder {
    let price = Money::new(2_500, Currency::EUR);
    PaidOrder {
        id: Uuid::from_u128(1),
        event_id: Uuid::from_u128(2),
        user_id: Uuid::from_u128(3),
        number: "O-7KQ2M4ZP3A".into(),
        tickets: (41..)
            .zip(kinds)
            .map(|(number, kind)| Ticket {
                number,
                kind: (*kind).into(),
                price,
            })
            .collect(),
        voucher: None,
        total: price.checked_mul(kinds.len().try_into().unwrap()).unwrap(),
    }
}

fn recipient(name: &str, locale: &str) -> Recipient {
    Recipient {
        user_id: Uuid::from_u128(3),
        version: 1,
        name: name.into(),
        email: "alice@example.com".into(),
        locale: locale.into(),
        wished: None,
        former: Vec::new(),
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
    let (order, event) = (order(kinds), event("Night of the Proms"));
    let mail = renderer().render(&About::PaidOrder(&order, &event), &recipient);
    let mail = mail.unwrap();
    assert_eq!(mail.kept_text, mail.text);
    mail
}

#[test]
fn in_english() {
    let mail = mail("en", &["general", "vip"]);
    insta::assert_snapshot!(mail.subject, @"Your tickets for Night of the Proms");
    insta::assert_snapshot!(mail.text, @r"
    Hello Alice,

    your payment has arrived. Here are your 2 tickets.

    Night of the Proms
    When: Friday, 1 May 2026 at 20:00 (Europe/Paris)
    Where: L'Olympia, 28 bd des Capucines, Paris

    Order O-7KQ2M4ZP3A
    - Ticket 41, General admission, 25.00 EUR
    - Ticket 42, VIP, 25.00 EUR
    Total: 50.00 EUR

    See the order and its tickets:
    http://localhost:8080/orders/00000000-0000-0000-0000-000000000001

    -- 
    You get this mail because you bought tickets with this address.
    ");
    insta::assert_snapshot!(mail.html, @r#"
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Night of the Proms</title>
    </head>
    <body style="margin:0;padding:24px;background:#f4f4f5;color:#18181b;font:16px/1.5 system-ui,sans-serif">
    <div style="max-width:560px;margin:0 auto;padding:24px;background:#fff;border-radius:8px">
    <p>Hello Alice,</p>
    <p>your payment has arrived. Here are your 2 tickets.</p>
    <h1 style="margin:24px 0 8px;font-size:22px">Night of the Proms</h1>
    <p><strong>When</strong> Friday, 1 May 2026 at 20:00 (Europe&#x2f;Paris)<br>
    <strong>Where</strong> L&#x27;Olympia, 28 bd des Capucines, Paris</p>
    <h2 style="margin:24px 0 8px;font-size:18px">Order O-7KQ2M4ZP3A</h2>
    <table style="width:100%;border-collapse:collapse">
    <tr style="text-align:left"><th scope="col">Ticket</th><th scope="col">Kind</th><th scope="col" style="text-align:right">Price</th></tr>
    <tr><td>41</td><td>General admission</td><td style="text-align:right">25.00 EUR</td></tr>
    <tr><td>42</td><td>VIP</td><td style="text-align:right">25.00 EUR</td></tr>
    <tr><td colspan="2"><strong>Total</strong></td><td style="text-align:right"><strong>50.00 EUR</strong></td></tr>
    </table>
    <p style="margin-top:24px"><a href="http://localhost:8080/orders/00000000-0000-0000-0000-000000000001">See the order and its tickets</a></p>
    </div>
    <p style="max-width:560px;margin:16px auto 0;color:#52525b;font-size:13px">You get this mail because you bought tickets with this address.</p>
    </body>
    </html>
    "#);
}

#[test]
fn in_french() {
    let mail = mail("fr-CA", &["general"]);
    insta::assert_snapshot!(mail.subject, @"Vos billets pour Night of the Proms");
    insta::assert_snapshot!(mail.text, @r"
    Bonjour Alice,

    nous avons bien reçu votre paiement. Voici votre billet.

    Night of the Proms
    Quand : vendredi 1er mai 2026 à 20:00 (Europe/Paris)
    Où : L'Olympia, 28 bd des Capucines, Paris

    Commande O-7KQ2M4ZP3A
    - Billet 41, Entrée générale, 25,00 EUR
    Total : 25,00 EUR

    Voir la commande et ses billets :
    http://localhost:8080/orders/00000000-0000-0000-0000-000000000001

    -- 
    Vous recevez ce message parce que vous avez acheté des billets avec cette adresse.
    ");
    insta::assert_snapshot!(mail.html, @r#"
    <!doctype html>
    <html lang="fr">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Night of the Proms</title>
    </head>
    <body style="margin:0;padding:24px;background:#f4f4f5;color:#18181b;font:16px/1.5 system-ui,sans-serif">
    <div style="max-width:560px;margin:0 auto;padding:24px;background:#fff;border-radius:8px">
    <p>Bonjour Alice,</p>
    <p>nous avons bien reçu votre paiement. Voici votre billet.</p>
    <h1 style="margin:24px 0 8px;font-size:22px">Night of the Proms</h1>
    <p><strong>Quand</strong> vendredi 1er mai 2026 à 20:00 (Europe&#x2f;Paris)<br>
    <strong>Où</strong> L&#x27;Olympia, 28 bd des Capucines, Paris</p>
    <h2 style="margin:24px 0 8px;font-size:18px">Commande O-7KQ2M4ZP3A</h2>
    <table style="width:100%;border-collapse:collapse">
    <tr style="text-align:left"><th scope="col">Billet</th><th scope="col">Catégorie</th><th scope="col" style="text-align:right">Prix</th></tr>
    <tr><td>41</td><td>Entrée générale</td><td style="text-align:right">25,00 EUR</td></tr>
    <tr><td colspan="2"><strong>Total</strong></td><td style="text-align:right"><strong>25,00 EUR</strong></td></tr>
    </table>
    <p style="margin-top:24px"><a href="http://localhost:8080/orders/00000000-0000-0000-0000-000000000001">Voir la commande et ses billets</a></p>
    </div>
    <p style="max-width:560px;margin:16px auto 0;color:#52525b;font-size:13px">Vous recevez ce message parce que vous avez acheté des billets avec cette adresse.</p>
    </body>
    </html>
    "#);
}

#[test]
fn in_spanish() {
    let mail = mail("es", &["backstage"]);
    insta::assert_snapshot!(mail.subject, @"Tus entradas para Night of the Proms");
    insta::assert_snapshot!(mail.text, @r"
    Hola, Alice:

    hemos recibido tu pago. Aquí tienes tu entrada.

    Night of the Proms
    Cuándo: viernes, 1 de mayo de 2026, 20:00 (Europe/Paris)
    Dónde: L'Olympia, 28 bd des Capucines, Paris

    Pedido O-7KQ2M4ZP3A
    - Entrada 41, backstage, 25,00 EUR
    Total: 25,00 EUR

    Ver el pedido y sus entradas:
    http://localhost:8080/orders/00000000-0000-0000-0000-000000000001

    -- 
    Recibes este mensaje porque has comprado entradas con esta dirección.
    ");
}

#[test]
fn what_cost_nothing_was_not_paid() {
    for kinds in [&["vip"][..], &["vip", "vip"]] {
        for (locale, payment) in [("en", "payment"), ("fr", "paiement"), ("es", "pago")] {
            let order = PaidOrder {
                total: Money::zero(Currency::EUR),
                ..order(kinds)
            };
            let event = event("Night of the Proms");
            let about = About::PaidOrder(&order, &event);
            let free = renderer().render(&about, &recipient("Alice", locale));
            let (free, paid) = (free.unwrap(), mail(locale, kinds));
            for (free, paid) in [(&free.text, &paid.text), (&free.html, &paid.html)] {
                assert!(paid.contains(payment), "{paid}");
                assert!(!free.contains(payment), "{free}");
            }
        }
    }
}

#[test]
fn the_total_follows_from_what_is_said_above_it() {
    let order = PaidOrder {
        voucher: Some(UsedVoucher {
            code: "EARLY-10".into(),
            discount: Money::new(250, Currency::EUR),
        }),
        total: Money::new(2_250, Currency::EUR),
        ..order(&["vip"])
    };
    let event = event("Night of the Proms");
    for (locale, text, html) in [
        (
            "en",
            "25.00 EUR\nVoucher EARLY-10: -2.50 EUR\nTotal: 22.50 EUR\n",
            "Voucher EARLY-10</td><td style=\"text-align:right\">-2.50 EUR</td>",
        ),
        (
            "fr",
            "25,00 EUR\nCode promo EARLY-10 : -2,50 EUR\nTotal : 22,50 EUR\n",
            "Code promo EARLY-10</td><td style=\"text-align:right\">-2,50 EUR</td>",
        ),
        (
            "es",
            "25,00 EUR\nVale EARLY-10: -2,50 EUR\nTotal: 22,50 EUR\n",
            "Vale EARLY-10</td><td style=\"text-align:right\">-2,50 EUR</td>",
        ),
    ] {
        let about = About::PaidOrder(&order, &event);
        let mail = renderer().render(&about, &recipient("Alice", locale));
        let mail = mail.unwrap();
        assert!(mail.text.contains(text), "{}", mail.text);
        assert!(mail.html.contains(html), "{}", mail.html);
    }
}

#[test]
fn a_language_without_texts_is_english() {
    assert_eq!(mail("de", &["vip"]).language, Language::En);
}

#[test]
fn what_people_typed_is_text_and_stays_on_its_line() {
    let (order, event) = (order(&["<b>vip</b>"]), event("Tom & Jerry\n<img src=x>"));
    let recipient = recipient("<script>alert('hi')</script>\r\nBcc: eve@example.com", "en");
    let mail = renderer()
        .render(&About::PaidOrder(&order, &event), &recipient)
        .unwrap();
    for markup in ["<script", "<b>", "<img"] {
        assert!(!mail.html.contains(markup), "{}", mail.html);
    }
    assert!(
        mail.html.contains("Tom &amp; Jerry &lt;img src=x&gt;"),
        "{}",
        mail.html
    );
    assert_eq!(mail.subject, "Your tickets for Tom & Jerry <img src=x>");
    assert!(
        mail.text
            .starts_with("Hello <script>alert('hi')</script> Bcc: eve@example.com,\n")
    );
}

fn link_mail(kind: LinkKind, locale: &str) -> Mail {
    let link = AccountLink {
        kind,
        user_id: Uuid::from_u128(3),
        token_id: Uuid::from_u128(4),
        sealed_token: Vec::new(),
        expires_at: Timestamp::parse("2026-05-01T18:00:00Z").unwrap(),
    };
    let token = SecretString::from("s3cr3t");
    let about = About::Link(&link, &token);
    renderer()
        .render(&about, &recipient("Alice", locale))
        .unwrap()
}

const RESET: LinkKind = LinkKind::ResetPassword { user_version: 1 };
const CHANGE: LinkKind = LinkKind::ChangeEmail {
    wish_id: Uuid::from_u128(7),
};

/// Without the name: whoever opened the account chose it, and may have chosen what a stranger shall read.
#[test]
fn an_address_to_prove() {
    let mail = link_mail(LinkKind::VerifyEmail, "en");
    insta::assert_snapshot!(mail.subject, @"Please confirm your e-mail address");
    insta::assert_snapshot!(mail.text, @r"
    Hello,

    please confirm that this is your e-mail address:
    http://localhost:8080/verify-email#token=s3cr3t

    The link works once, until Friday, 1 May 2026 at 18:00 (UTC).

    -- 
    You get this mail because somebody opened an account with this address. If it was not you, there is nothing to do.
    ");
}

#[test]
fn a_password_to_choose() {
    let mail = link_mail(RESET, "fr");
    insta::assert_snapshot!(mail.subject, @"Choisissez un nouveau mot de passe");
    insta::assert_snapshot!(mail.text, @r"
    Bonjour Alice,

    vous pouvez choisir un nouveau mot de passe ici :
    http://localhost:8080/reset-password#token=s3cr3t

    Le lien fonctionne une seule fois, jusqu’au vendredi 1er mai 2026 à 18:00 (UTC).

    -- 
    Vous recevez ce message parce que quelqu’un l’a demandé pour votre compte. Si ce n’était pas vous, ignorez-le : votre mot de passe reste le même.
    ");
}

#[test]
fn what_a_link_proves_is_for_the_recipient_alone() {
    for kind in [LinkKind::VerifyEmail, RESET, CHANGE] {
        for locale in ["en", "fr", "es"] {
            let mail = link_mail(kind, locale);
            let url = "#token=s3cr3t";
            assert!(
                mail.text.contains(url) && mail.html.contains(url),
                "{}",
                mail.html
            );
            assert!(!mail.subject.contains("s3cr3t"));
            assert!(!mail.kept_text.contains("s3cr3t"), "{}", mail.kept_text);
            assert!(mail.kept_text.contains(HIDDEN), "{}", mail.kept_text);
            assert!(mail.text.contains("18:00 (UTC)"), "{}", mail.text);
        }
    }
}
