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
    ] {
        assert_eq!(SigningKey::from_pem(&text, None).expect_err("another form"), SignError::Pem);
    }
}
