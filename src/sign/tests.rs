//! What is signed here is accepted by the engine, and keys survive being written and read.

use super::*;
use crate::alg::Registry;
use crate::jws::JwsVerifier;
use crate::key::KeySet;

fn accepted(key: &SigningKey, token: &str) -> bool {
    let jwk = key.public_jwk().unwrap_or_else(|_| key.private_jwk()).to_string();
    let keys = KeySet::from_jwk(jwk.as_bytes(), &Limits::DEFAULT).expect("own key");
    let verifier = JwsVerifier::new(&Registry::builtin(), [key.algorithm()], &keys, Limits::DEFAULT);
    verifier.expect("own algorithm").verify(token).is_ok()
}

#[test]
fn signs_what_the_engine_accepts() {
    for algorithm in algorithms() {
        let key = match algorithm {
            // One RSA key serves the test of all six: generating is slow without optimization.
            name if name.starts_with("RS") || name.starts_with("PS") => continue,
            name => SigningKey::generate(name, 0).expect(name).with_kid("k"),
        };
        let token = key.sign(&Map::new(), b"{}").expect(algorithm);
        assert!(accepted(&key, &token), "{algorithm}");
        let again = SigningKey::from_jwk(key.private_jwk().to_string().as_bytes(), None).expect(algorithm);
        assert_eq!(again.private_jwk(), key.private_jwk());
        assert!(accepted(&key, &again.sign(&Map::new(), b"{}").expect(algorithm)), "{algorithm}");
    }
}

#[test]
fn one_rsa_key_signs_with_six_algorithms() {
    let mut jwk = SigningKey::generate("RS256", 2048).expect("RSA").private_jwk();
    for algorithm in algorithms().filter(|name| name.starts_with("RS") || name.starts_with("PS")) {
        jwk["alg"] = (*algorithm).into();
        let key = SigningKey::from_jwk(jwk.to_string().as_bytes(), Some(algorithm)).expect(algorithm);
        assert_eq!(key.private_jwk(), jwk);
        assert!(accepted(&key, &key.sign(&Map::new(), b"{}").expect(algorithm)), "{algorithm}");
    }
    let refused = SigningKey::from_jwk(jwk.to_string().as_bytes(), Some("ES256")).expect_err("family");
    assert_eq!(refused.code(), "sign.wrong_family");
}

#[test]
fn keys_tell_no_secrets_and_mixed_halves_are_refused() {
    let key = SigningKey::generate("EdDSA", 0).expect("EdDSA");
    let mut jwk = key.private_jwk();
    let shown = format!("{key:?}");
    assert!(!shown.contains(jwk["d"].as_str().expect("d")), "{shown}");
    jwk["x"] = SigningKey::generate("EdDSA", 0).expect("EdDSA").private_jwk()["x"].clone();
    assert!(matches!(SigningKey::from_jwk(jwk.to_string().as_bytes(), None), Err(SignError::Invalid)));
    let public = key.public_jwk().expect("public").to_string();
    assert_eq!(
        SigningKey::from_jwk(public.as_bytes(), None).expect_err("no d"),
        SignError::Member { member: "d", fault: crate::json::MemberFault::Absent }
    );
}

#[test]
fn rsa_keys_are_read_from_pkcs1_and_from_pkcs8() {
    use rsa::pkcs1::EncodeRsaPrivateKey;
    use rsa::pkcs8::EncodePrivateKey;
    let key = SigningKey::generate("RS256", 2048).expect("RSA");
    let Material::Rsa(rsa) = &key.material else { panic!("an RSA key") };
    let pem = |label: &str, der: &[u8]| {
        x509_cert::der::pem::encode_string(label, x509_cert::der::pem::LineEnding::LF, der).expect("PEM")
    };
    let pkcs1 = rsa.to_pkcs1_der().expect("PKCS#1");
    let pkcs8 = rsa.to_pkcs8_der().expect("PKCS#8");
    for text in [pem("RSA PRIVATE KEY", pkcs1.as_bytes()), pem("PRIVATE KEY", pkcs8.as_bytes())] {
        let read = SigningKey::from_pem(&text, Some("PS384")).expect("a private key");
        assert_eq!(read.private_jwk()["d"], key.private_jwk()["d"]);
        assert!(accepted(&read, &read.sign(&Map::new(), b"{}").expect("a signature")));
    }
    // The label says which of the two it is.
    for text in [
        pem("PRIVATE KEY", pkcs1.as_bytes()),
        pem("RSA PRIVATE KEY", pkcs8.as_bytes()),
        pem("EC PRIVATE KEY", pkcs1.as_bytes()),
        pem("EC PRIVATE KEY", pkcs8.as_bytes()),
    ] {
        assert_eq!(SigningKey::from_pem(&text, None).expect_err("another form"), SignError::Pem);
    }
}

/// Made by `openssl ecparam -name CURVE -genkey`; the last is of secp256k1.
const SEC1: [(&str, &str); 4] = [
    (
        "ES256",
        "\
-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIHyHxNFYGKEn8n3qsw/yOfLck6lU19gbK2A7/qz21INYoAoGCCqGSM49
AwEHoUQDQgAEc91dxTimhH1SG0lhlnHrg9jGUhj90vDufRFJcD9J4pmnDHWrqlf7
2vKtrB5gLax9lewMEkmiDU9r7QeNVGUwHw==
-----END EC PRIVATE KEY-----
",
    ),
    (
        "ES384",
        "\
-----BEGIN EC PARAMETERS-----
BgUrgQQAIg==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MIGkAgEBBDBb9a75k8xQcygMkdd/0Z91JOGf2EmBzBbqRY9N6D813RxaJhO8C36V
06eU2m5Ds9CgBwYFK4EEACKhZANiAAS901lq9ylHNs8jD9uDnRP17J7WdTxLGg/Y
SO+BhyXof53tcO7dbAVbD/htBj0q6EkCU81oiROTjrpX//CK24VpVy0ktae+kuiX
s2sVSBAFJVdtIe/dGaSGb7cUeG2oDDk=
-----END EC PRIVATE KEY-----
",
    ),
    (
        "ES512",
        "\
-----BEGIN EC PARAMETERS-----
BgUrgQQAIw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MIHcAgEBBEIALZN60JzHLqfgBf7bCU9op4EHDPB7hrMaobT2Rv/1NQRiOkyDC0/K
1ZVYHX3Tw0mxKnKRmTiLMRHWMaYXYKy3/HOgBwYFK4EEACOhgYkDgYYABAD+/FpP
M4blF20vZs0FFOC6qR6Fp/HSbD1qoWm1nUPnsMvG0/C24A6dSXTtIZ5tjvB/jZml
fFoHQB0my9JlpRbx6ADmN78YTIQ+ZMDRNVuHLO7xk6MSg/HiH/HGJFjhGLATmyg7
+TwFTnFPspP6OOWgEIBS0Ltaa42kWk/JHubGOhsjoA==
-----END EC PRIVATE KEY-----
",
    ),
    (
        "",
        "\
-----BEGIN EC PARAMETERS-----
BgUrgQQACg==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHQCAQEEIEaXd20w/vcWq1jU0emjUi0BedzVUgSFn1IAEo3bWe8roAcGBSuBBAAK
oUQDQgAE2R77dS6BrPDThS4V7yaKODG9ByIQQoxWAiD8PvdtqfmShS2VKX7hVH2P
lPoABiKJGjLcK/0u04TvvkDiVriW4w==
-----END EC PRIVATE KEY-----
",
    ),
];

#[test]
fn ec_keys_are_read_from_sec1_and_only_with_their_curve() {
    for (algorithm, text) in SEC1 {
        let key = SigningKey::from_pem(text, None);
        let Ok(key) = key else {
            assert!(algorithm.is_empty() && key.expect_err("secp256k1") == SignError::Pem, "{algorithm}");
            continue;
        };
        assert_eq!(key.algorithm(), algorithm);
        assert!(accepted(&key, &key.sign(&Map::new(), b"{}").expect("a signature")), "{algorithm}");
        // Without `EC PARAMETERS`, as `openssl ec` writes it.
        let bare = text.split_once("-----END EC PARAMETERS-----").expect("parameters").1;
        assert_eq!(SigningKey::from_pem(bare, None).expect("a key").private_jwk(), key.private_jwk());
        assert_eq!(
            SigningKey::from_pem(bare, Some("RS256")).expect_err("family").code(),
            "sign.wrong_family"
        );
    }
    // A number without the name of its curve could be a key of P-256 and of secp256k1.
    let number = [&[0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20][..], &[7; 32]].concat();
    let text =
        x509_cert::der::pem::encode_string("EC PRIVATE KEY", x509_cert::der::pem::LineEnding::LF, &number);
    assert_eq!(SigningKey::from_pem(&text.expect("PEM"), None).expect_err("no curve"), SignError::Pem);
}
