//! Orders that ended without their buyers' doing.

use super::*;

fn ended_mail(reason: EndReason, money_back: Option<Money>, locale: &str) -> Mail {
    let order = EndedOrder {
        id: Uuid::from_u128(1),
        event_id: Uuid::from_u128(2),
        user_id: Uuid::from_u128(3),
        number: "O-7KQ2M4ZP3A".into(),
        reason,
        money_back,
    };
    let event = event("Tom & Jerry\n<img src=x>");
    let about = About::EndedOrder(&order, &event);
    let mail = renderer().render(&about, &recipient("Alice", locale));
    mail.unwrap()
}

#[test]
fn an_event_that_is_cancelled() {
    let paid = Some(Money::new(5_000, Currency::EUR));
    let mail = ended_mail(EndReason::EventCancelled, paid, "en");
    insta::assert_snapshot!(mail.subject, @"Cancelled: Tom & Jerry <img src=x>");
    insta::assert_snapshot!(mail.text, @r"
    Hello Alice,

    Tom & Jerry <img src=x> is cancelled, and your order O-7KQ2M4ZP3A with it.

    We pay 50.00 EUR back to you the way you paid. Your bank may take some days to show it.

    Tom & Jerry <img src=x>
    When: Friday, 1 May 2026 at 20:00 (Europe/Paris)
    Where: L'Olympia, 28 bd des Capucines, Paris

    See the order:
    http://localhost:8080/orders/00000000-0000-0000-0000-000000000001

    -- 
    You get this mail because you ordered tickets with this address.
    ");
}

#[test]
fn an_order_that_is_taken_back() {
    let paid = Some(Money::new(5_000, Currency::EUR));
    let mail = ended_mail(EndReason::Refunded, paid, "fr");
    insta::assert_snapshot!(mail.subject, @"Votre commande pour Tom & Jerry <img src=x> a été annulée");
    insta::assert_snapshot!(mail.text, @r"
    Bonjour Alice,

    votre commande O-7KQ2M4ZP3A pour Tom & Jerry <img src=x> a été annulée, et ses billets ne sont plus valables.

    Nous vous remboursons 50,00 EUR par le moyen de paiement que vous avez utilisé. Votre banque peut mettre quelques jours à l’afficher.

    Tom & Jerry <img src=x>
    Quand : vendredi 1er mai 2026 à 20:00 (Europe/Paris)
    Où : L'Olympia, 28 bd des Capucines, Paris

    Voir la commande :
    http://localhost:8080/orders/00000000-0000-0000-0000-000000000001

    -- 
    Vous recevez ce message parce que vous avez commandé des billets avec cette adresse.
    ");
}

#[test]
fn both_parts_say_what_becomes_of_the_money() {
    let paid = Money::new(5_000, Currency::EUR);
    for reason in [EndReason::EventCancelled, EndReason::Refunded] {
        for (locale, amount, nothing) in [
            ("en", "50.00 EUR", "nothing to pay back"),
            ("fr", "50,00 EUR", "rien à rembourser"),
            ("es", "50,00 EUR", "nada que devolver"),
        ] {
            for (money_back, said, unsaid) in
                [(Some(paid), amount, nothing), (None, nothing, amount)]
            {
                let mail = ended_mail(reason, money_back, locale);
                for part in [&mail.text, &mail.html] {
                    assert!(part.contains(said) && !part.contains(unsaid), "{part}");
                    assert!(part.contains("O-7KQ2M4ZP3A"), "{part}");
                }
                assert!(!mail.html.contains("<img"), "{}", mail.html);
                assert_eq!(mail.kept_text, mail.text);
            }
        }
    }
}
