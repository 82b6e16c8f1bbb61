//! Keys that come, go and cannot be had.

use super::*;

#[tokio::test]
async fn the_last_keys_stay_while_the_issuer_is_away() {
    let signer = Signer::new("k1");
    let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
    issuer.go_away();
    let nobody_knows = verifier.verify(&signer.token()).await.unwrap_err();
    assert_eq!(Problem::from(nobody_knows).status(), 503);

    issuer.publish(&[signer.jwk()]);
    assert!(verifier.verify(&signer.token()).await.is_ok());

    for lost in [None, Some(json!({"keys": []})), Some(json!("nonsense"))] {
        *issuer.keys.lock().unwrap() = lost;
        assert!(verifier.keys.refresh().await.is_err());
        assert!(verifier.verify(&signer.token()).await.is_ok());
    }
    let unknown = verifier.verify(&Signer::new("k2").token()).await;
    assert!(matches!(unknown, Err(AuthError::Invalid(_))));
}

#[tokio::test]
async fn a_new_key_is_found_and_a_removed_one_forgotten() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let (issuer, verifier) = issuer_and_verifier(&[old.jwk()], AT_ONCE).await;
    let token = old.token();
    assert!(verifier.verify(&token).await.is_ok());

    issuer.publish(&[old.jwk(), new.jwk()]);
    assert!(verifier.verify(&new.token()).await.is_ok());
    assert!(verifier.verify(&token).await.is_ok());

    // Also for a token that was verified before.
    issuer.publish(&[new.jwk()]);
    verifier.keys.refresh().await.unwrap();
    assert!(matches!(
        verifier.verify(&token).await,
        Err(AuthError::Invalid(_))
    ));
}

#[tokio::test]
async fn invented_key_ids_do_not_burden_the_issuer() {
    let signer = Signer::new("k1");
    let pace = Pace {
        unknown_key: Duration::from_secs(3_600),
        ..AT_ONCE
    };
    let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], pace).await;
    assert!(verifier.verify(&signer.token()).await.is_ok());
    for _ in 0..20 {
        let token = signer.sign(&json!({"kid": new_id()}), &json!({}));
        assert!(verifier.verify(&token).await.is_err());
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_thousand_first_requests_fetch_once() {
    let signer = Signer::new("k1");
    let pace = Pace {
        unknown_key: Duration::from_secs(3_600),
        ..AT_ONCE
    };
    let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], pace).await;
    let all = (0..1_000).map(|_| {
        let (verifier, token) = (Arc::clone(&verifier), signer.token());
        tokio::spawn(async move { verifier.verify(&token).await.is_ok() })
    });
    for ok in futures::future::join_all(all).await {
        assert!(ok.unwrap());
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn keys_are_refreshed_in_the_background() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let pace = Pace {
        refresh: Duration::from_millis(20),
        unknown_key: Duration::from_secs(3_600),
        ..AT_ONCE
    };
    let (issuer, verifier) = issuer_and_verifier(&[old.jwk()], pace).await;
    assert!(verifier.verify(&old.token()).await.is_ok());
    issuer.publish(&[old.jwk(), new.jwk()]);
    let found = async {
        while verifier.verify(&new.token()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), found)
        .await
        .unwrap();
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_skipped() {
    let signer = Signer::new("k1");
    let with = |name: &str, value: &str| {
        let mut jwk = Signer::new("other").jwk();
        jwk[name] = json!(value);
        jwk
    };
    let keys = [
        json!({"kty": "RSA", "kid": "other", "n": "AQAB", "e": "AQAB"}),
        with("use", "enc"),
        with("alg", "ES256"),
        with("crv", "X25519"),
        with("x", "AQAB"),
        signer.jwk(),
    ];
    let (_, verifier) = issuer_and_verifier(&keys, AT_ONCE).await;
    assert!(verifier.verify(&signer.token()).await.is_ok());
    let keys = verifier.keys.current().unwrap();
    assert!(keys.get("k1").is_some() && keys.get("other").is_none());
}
