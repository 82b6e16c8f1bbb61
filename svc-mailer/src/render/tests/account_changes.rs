//! Changes of an account that somebody else may have made.

use super::*;

fn changed_mail(locale: &str) -> Mail {
    let change = AccountChange {
        notice_id: Uuid::from_u128(1),
        user_id: Uuid::from_u128(3),
        at: Timestamp::parse("2026-05-01T18:00:00Z").unwrap(),
    };
    let about = About::PasswordChanged(&change);
    let mail = renderer().render(&about, &recipient("Alice", locale));
    mail.unwrap()
}

#[test]
fn another_password() {
    let mail = changed_mail("en");
    insta::assert_snapshot!(mail.subject, @"Your password was changed");
    insta::assert_snapshot!(mail.text, @r"
    Hello Alice,

    the password of your account was changed on Friday, 1 May 2026 at 18:00 (UTC). You are signed out everywhere.

    If it was not you, somebody may have got in: ask for a link to choose another password at once, at
    http://localhost:8080/

    -- 
    You get this mail because it is about the safety of your account.
    ");
    for (locale, subject) in [
        ("fr", "Votre mot de passe a été changé"),
        ("es", "Se ha cambiado tu contraseña"),
    ] {
        let mail = changed_mail(locale);
        assert_eq!(mail.subject, subject);
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("18:00") && part.contains("http://localhost:8080/"));
        }
        assert_eq!(mail.kept_text, mail.text);
    }
}

/// Without the name, as for the first address.
#[test]
fn another_address_to_prove() {
    let mail = link_mail(CHANGE, "en");
    insta::assert_snapshot!(mail.subject, @"Please confirm your new e-mail address");
    insta::assert_snapshot!(mail.text, @r"
    Hello,

    please confirm that this is the new e-mail address of your account:
    http://localhost:8080/change-email#token=s3cr3t

    The link works once, until Friday, 1 May 2026 at 18:00 (UTC). Then you sign in with this address, and are signed out everywhere.

    -- 
    You get this mail because somebody wants to use this address for an account. If it was not you, there is nothing to do.
    ");
    for locale in ["en", "fr", "es"] {
        let mail = link_mail(CHANGE, locale);
        assert!(!mail.text.contains("Alice") && !mail.html.contains("Alice"));
    }
}

#[test]
fn another_address() {
    let change = AccountChange {
        notice_id: Uuid::from_u128(1),
        user_id: Uuid::from_u128(3),
        at: Timestamp::parse("2026-05-01T18:00:00Z").unwrap(),
    };
    let mail = |locale| {
        let about = About::EmailChanged(&change);
        let mail = renderer().render(&about, &recipient("Alice", locale));
        mail.unwrap()
    };
    let english = mail("en");
    insta::assert_snapshot!(english.text, @r"
    Hello Alice,

    the e-mail address of your account was changed on Friday, 1 May 2026 at 18:00 (UTC), and is no longer this one. You are signed out everywhere.

    If it was not you, somebody has got in: tell our support at once, at
    http://localhost:8080/

    -- 
    You get this mail because it is about the safety of your account. It is the last one to this address.
    ");
    for (locale, subject) in [
        ("en", "Your e-mail address was changed"),
        ("fr", "Votre adresse e-mail a été changée"),
        ("es", "Se ha cambiado tu dirección de correo"),
    ] {
        let mail = mail(locale);
        assert_eq!(mail.subject, subject);
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("18:00") && part.contains("http://localhost:8080/"));
        }
        assert_eq!(mail.kept_text, mail.text);
    }
}
