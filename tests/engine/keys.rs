//! Keys: every form they come in, what makes one unfit, and which one a token gets.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::path::Path;

use claimgate::alg::Registry;
use claimgate::base64url;
use claimgate::jws::JwsVerifier;
use claimgate::key::{KeyError, KeyMaterial, KeySet, VerificationKey};
use claimgate::limits::Limits;
use ring::hmac;
use serde_json::{Value, json};

const SECRET: &[u8] = b"a secret of more than 64 bytes, so that each of the three hashes takes it";

fn hs256(secret: &[u8], header: Value) -> String {
    let input = format!("{}.e30", base64url::encode(header.to_string().as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", base64url::encode(tag.as_ref()))
}

fn oct(secret: &[u8]) -> Value {
    json!({"kty": "oct", "k": base64url::encode(secret)})
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), &Limits::DEFAULT).unwrap()
}

fn verifier(allowed: &[&str], keys: &KeySet) -> JwsVerifier {
    JwsVerifier::new(&Registry::builtin(), allowed, keys, Limits::DEFAULT).unwrap()
}

fn code(verifier: &JwsVerifier, token: &str) -> &'static str {
    verifier.verify(token).map_or_else(|error| error.code(), |_| "valid")
}

fn pem(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/keys").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A good token of an algorithm, signed by the key that `vectors/keys` holds for it.
fn token(algorithm: &str) -> String {
    let rows =
        include_str!("../../vectors/good.jsonl").lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let wanted = format!("good/pem/{algorithm}");
    rows.map(|row| row["input"].clone()).find(|row| row["id"] == wanted.as_str()).unwrap()["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn code_of<T>(result: Result<T, KeyError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "read")
}

#[test]
fn every_form_of_pem_verifies() {
    for (file, algorithm) in [
        ("rsa.spki.pem", "RS256"),
        ("rsa.pkcs1.pem", "PS256"),
        ("rsa.cert.pem", "RS384"),
        ("p256.spki.pem", "ES256"),
        ("p384.spki.pem", "ES384"),
        ("p521.spki.pem", "ES512"),
        ("ed25519.spki.pem", "EdDSA"),
        ("ed25519.cert.pem", "EdDSA"),
    ] {
        let keys = KeySet::from_pem(&pem(file)).unwrap();
        assert_eq!(code(&verifier(&[algorithm], &keys), &token(algorithm)), "valid", "{file}");
    }
    // Several blocks, with text between them and other line ends.
    let text = format!(
        "Subject: x\n{}\n# next\n{}",
        pem("rsa.spki.pem"),
        pem("p256.spki.pem").replace('\n', "\r\n")
    );
    let keys = KeySet::from_pem(&text).unwrap();
    assert_eq!(keys.keys().iter().map(|key| key.material().kty()).collect::<Vec<_>>(), ["RSA", "EC"]);
    assert_eq!(code(&verifier(&["RS256", "ES256"], &keys), &token("ES256")), "valid");
}

// attack: keys.private
#[test]
fn what_is_no_public_key_in_pem_is_refused() {
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let text = format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        assert_eq!(code_of(KeySet::from_pem(&text)), "key.private", "{label}");
        let both = format!("{text}{}", pem("p256.spki.pem"));
        let set = KeySet::from_pem(&both).unwrap();
        assert_eq!((set.keys().len(), set.skipped().len()), (1, 1));
        assert_eq!(set.skipped()[0].reason, KeyError::Private);
    }
    let good = pem("rsa.spki.pem");
    for text in [
        String::new(),
        "hello".to_owned(),
        "-----BEGIN PUBLIC KEY-----".to_owned(),
        "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n".to_owned(),
        good.replace("END PUBLIC", "END PUBLIK"),
        good.replace("PUBLIC KEY", "SOMETHING"),
        good.replace("PUBLIC KEY", "RSA PUBLIC KEY"),
        good.replace("PUBLIC KEY", "CERTIFICATE"),
        good.replacen('M', "?", 2),
    ] {
        assert_eq!(code_of(KeySet::from_pem(&text)), "key.pem", "{text}");
    }
}

// attack: keys.private
/// A search that began anew at each of them would not end here.
#[test]
fn a_text_of_many_beginnings_is_refused() {
    let text = "-----BEGIN ".repeat(400_000);
    for text in [text.clone(), format!("{text}-----END "), format!("{text}-----END X-----")] {
        assert_eq!(code_of(KeySet::from_pem(&text)), "key.pem");
    }
}

#[test]
fn a_malformed_jwk_names_its_member() {
    for (jwk, member) in [
        (json!({}), "kty"),
        (json!({"kty": 1}), "kty"),
        (json!({"kty": "RSA"}), "n"),
        (json!({"kty": "RSA", "n": "AQAB", "e": ""}), "e"),
        (json!({"kty": "RSA", "n": "AAAA", "e": "AQAB"}), "n"),
        (json!({"kty": "EC", "x": "AA", "y": "AA"}), "crv"),
        (json!({"kty": "EC", "crv": "P-256", "x": "AA"}), "y"),
        (json!({"kty": "EC", "crv": "P-256", "x": "AB", "y": "AA"}), "x"),
        (json!({"kty": "OKP", "crv": "Ed25519"}), "x"),
        (json!({"kty": "oct"}), "k"),
        (json!({"kty": "oct", "k": "AA=="}), "k"),
        (with(oct(SECRET), "kid", json!(1)), "kid"),
        (with(oct(SECRET), "alg", json!(null)), "alg"),
        (with(oct(SECRET), "use", json!([])), "use"),
        (with(oct(SECRET), "key_ops", json!(["verify", 1])), "key_ops"),
    ] {
        let error = KeySet::from_jwk(jwk.to_string().as_bytes(), &Limits::DEFAULT).unwrap_err();
        assert_eq!(error, KeyError::Member { member }, "{jwk}");
    }
    for text in ["", "[]", "{", r#"{"kty":"oct","kty":"oct","k":"AA"}"#] {
        assert_eq!(code_of(KeySet::from_jwk(text.as_bytes(), &Limits::DEFAULT)), "key.json", "{text}");
    }
}

// attack: size.key-set
#[test]
fn a_set_is_bounded_and_well_formed() {
    let limits = Limits { keys_in_set: 3, jwks_bytes: 400, ..Limits::DEFAULT };
    let text = |count: usize| json!({"keys": vec![json!({"kty": "oct", "k": "AA"}); count]}).to_string();
    let read = |text: &str| code_of(KeySet::from_jwks(text.as_bytes(), &limits));
    assert_eq!(read(&text(3)), "read");
    assert_eq!(read(&text(4)), "key.set_too_large");
    assert_eq!(read(&format!("{:400}", r#"{"keys":[]}"#)), "read");
    assert_eq!(read(&format!("{:401}", r#"{"keys":[]}"#)), "key.set_too_large");
    assert_eq!(code_of(KeySet::from_jwk(format!("{:401}", "{}").as_bytes(), &limits)), "key.set_too_large");
    for text in ["{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"Keys":[]}"#] {
        assert_eq!(read(text), "key.member", "{text}");
    }
    for text in ["[]", "", r#"{"keys":[],"keys":[]}"#, r#"{"keys":[]} x"#] {
        assert_eq!(read(text), "key.json", "{text}");
    }
}

// attack: keys.beside-good
#[test]
fn a_bad_key_is_skipped_and_reported() {
    let keys = set(&[
        json!(7),
        json!({"kty": "RSA", "kid": "broken"}),
        with(oct(b"short"), "kid", json!("weak")),
        with(with(oct(SECRET), "kid", json!("enc")), "use", json!("enc")),
        with(oct(SECRET), "kid", json!("good")),
        json!({"kty": "EC", "crv": "P-256", "kid": "unwanted", "x": "AA", "y": "AA"}),
    ]);
    assert_eq!(keys.keys().len(), 4);
    let skipped: Vec<_> =
        keys.skipped().iter().map(|key| (key.index, key.kid.as_deref(), key.reason.code())).collect();
    assert_eq!(skipped, [(0, None, "key.json"), (1, Some("broken"), "key.member")]);
    let verifier = verifier(&["HS256"], &keys);
    let report = verifier.key_report();
    assert_eq!(report.usable, 1);
    let mut reasons: Vec<_> =
        report.skipped.iter().map(|key| (key.kid.as_deref(), key.reason.code())).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            (None, "key.json"),
            (Some("broken"), "key.member"),
            (Some("enc"), "key.wrong_use"),
            (Some("unwanted"), "key.wrong_family"),
            (Some("weak"), "key.weak"),
        ]
    );
    let kid = |kid: &str| hs256(SECRET, json!({"alg": "HS256", "kid": kid}));
    assert_eq!(code(&verifier, &kid("good")), "valid");
    assert_eq!(code(&verifier, &hs256(SECRET, json!({"alg": "HS256"}))), "valid");
    for (name, wanted) in [("weak", "key.weak"), ("enc", "key.wrong_use")] {
        assert_eq!(code(&verifier, &kid(name)), wanted);
    }
    assert_ne!(code(&verifier, &kid("nobody")), "valid");
}

// attack: keys.rsa-small, keys.hmac-short, keys.hmac-empty
#[test]
fn minimum_strengths_and_the_opt_in() {
    let token = |secret: &[u8]| hs256(secret, json!({"alg": "HS256"}));
    for (length, strict, weak) in [
        (0, "key.weak", "key.weak"),
        (1, "key.weak", "valid"),
        (31, "key.weak", "valid"),
        (32, "valid", "valid"),
    ] {
        let secret = &SECRET[..length];
        let keys = KeySet::from_secret(secret);
        assert_eq!(code(&verifier(&["HS256"], &keys), &token(secret)), strict, "{length}");
        let keys = keys.danger_allow_weak_keys();
        assert_eq!(code(&verifier(&["HS256"], &keys), &token(secret)), weak, "{length}");
    }
    // The opt-in of one key is its own.
    let keys = KeySet::new([
        VerificationKey::from_secret(b"weak").with_kid("a").danger_allow_weak(),
        VerificationKey::from_secret(b"soft").with_kid("b"),
    ]);
    let verifier = verifier(&["HS256"], &keys);
    assert_eq!(code(&verifier, &hs256(b"weak", json!({"alg": "HS256", "kid": "a"}))), "valid");
    assert_eq!(code(&verifier, &hs256(b"soft", json!({"alg": "HS256", "kid": "b"}))), "key.weak");
}

// attack: keys.use, kid.shared
#[test]
fn metadata_selects_the_key() {
    let usable = |jwk: Value| verifier(&["HS256"], &set(&[jwk])).key_report().usable == 1;
    assert!(usable(with(oct(SECRET), "use", json!("sig"))));
    assert!(usable(with(oct(SECRET), "alg", json!("HS256"))));
    assert!(usable(with(oct(SECRET), "key_ops", json!(["sign", "verify"]))));
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!("SIG")),
        ("use", json!("")),
        ("alg", json!("HS384")),
        ("alg", json!("hs256")),
        ("key_ops", json!([])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!(["Verify"])),
    ] {
        assert!(!usable(with(oct(SECRET), name, value.clone())), "{name} {value}");
    }
    // A kid picks its key; without one each key may be meant; a nameless key serves any kid.
    let other: Vec<u8> = SECRET.iter().rev().copied().collect();
    let keys = set(&[with(oct(&other), "kid", json!("a")), with(oct(SECRET), "kid", json!("b"))]);
    let named = verifier(&["HS256"], &keys);
    assert_eq!(code(&named, &hs256(SECRET, json!({"alg": "HS256", "kid": "b"}))), "valid");
    assert_eq!(code(&named, &hs256(SECRET, json!({"alg": "HS256", "kid": "a"}))), "signature.invalid");
    assert_eq!(code(&named, &hs256(SECRET, json!({"alg": "HS256", "kid": "c"}))), "key.unknown_kid");
    assert_eq!(code(&named, &hs256(SECRET, json!({"alg": "HS256"}))), "valid");
    let nameless = verifier(&["HS256"], &set(&[oct(SECRET)]));
    assert_eq!(code(&nameless, &hs256(SECRET, json!({"alg": "HS256", "kid": "c"}))), "valid");
    let nothing = verifier(&["HS256"], &KeySet::default());
    assert_eq!(code(&nothing, &hs256(SECRET, json!({"alg": "HS256", "kid": "c"}))), "key.none_fits");
}

// attack: size.key-set
#[test]
fn only_so_many_keys_are_tried() {
    let limit = Limits::DEFAULT.keys_tried;
    let at = |place: usize, total: usize| {
        let keys = (0..total).map(|index| match index == place {
            true => VerificationKey::from_secret(SECRET),
            false => VerificationKey::from_secret(format!("{index:040}").as_bytes()),
        });
        code(&verifier(&["HS256"], &KeySet::new(keys)), &hs256(SECRET, json!({"alg": "HS256"})))
    };
    assert_eq!(at(limit - 1, limit), "valid");
    assert_eq!(at(limit - 1, limit + 5), "valid");
    assert_eq!(at(limit, limit + 1), "key.too_many_candidates");
    assert_eq!(at(usize::MAX, limit), "signature.invalid");
}

// attack: logs.secrets
#[test]
fn no_secret_is_ever_shown() {
    let secret = b"correct horse battery staple, 32";
    let text = base64url::encode(secret);
    let keys = set(&[with(oct(secret), "kid", json!("k")), json!({"kty": "RSA", "kid": "r", "d": text})]);
    let verifier = verifier(&["HS256"], &keys);
    let private = KeySet::from_jwk(
        json!({"kty": "TOY", "d": text, "k": text, "priv": text}).to_string().as_bytes(),
        &Limits::DEFAULT,
    )
    .unwrap();
    let KeyMaterial::Other { members, .. } = private.keys()[0].material() else { panic!("another kty") };
    assert_eq!(members.keys().collect::<Vec<_>>(), ["kty"]);
    let shown = format!("{keys:?} {verifier:?} {private:?} {:?} {:?}", verifier.key_report(), keys.keys()[0]);
    let bytes = format!("{:?}", secret.as_slice());
    for leak in [&text, "correct horse", bytes.trim_matches(['[', ']'])] {
        assert!(!shown.contains(leak), "{shown}");
    }
}

/// Found by fuzzing: a last line that is not closed took the next block's first line for its own end.
#[test]
fn a_block_without_an_end_hides_no_other() {
    let text = format!("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY{}", pem("p256.spki.pem"));
    let set = KeySet::from_pem(&text).unwrap();
    assert_eq!((set.keys().len(), set.skipped().len()), (1, 1));
}

// finding: S10
#[test]
fn a_verifier_may_require_the_kid_where_several_named_keys_fit() {
    let named = |kid: &str, secret: &[u8]| with(oct(secret), "kid", json!(kid));
    let other: Vec<u8> = SECRET.iter().rev().copied().collect();
    let without_kid = hs256(SECRET, json!({"alg": "HS256"}));
    for (keys, lenient, strict) in [
        (vec![named("a", SECRET)], "valid", "valid"),
        (vec![oct(SECRET), oct(&other)], "valid", "valid"),
        (vec![oct(SECRET), named("a", &other)], "valid", "valid"),
        (vec![named("a", &other), named("b", SECRET)], "valid", "key.kid_required"),
        (vec![named("a", &other), named("a", SECRET)], "valid", "key.kid_required"),
        (vec![oct(SECRET), named("a", &other), named("b", &other)], "valid", "key.kid_required"),
        (vec![named("a", &other), named("b", &other)], "signature.invalid", "key.kid_required"),
    ] {
        let verifier = verifier(&["HS256"], &set(&keys));
        // The second look-up takes the header from the cache.
        for _ in 0..2 {
            assert_eq!(code(&verifier, &without_kid), lenient, "{keys:?}");
            assert_eq!(code(&verifier.clone().require_kid(), &without_kid), strict, "{keys:?}");
        }
    }
    let keys = set(&[named("a", &other), named("b", SECRET)]);
    let strict = verifier(&["HS256"], &keys).require_kid();
    assert_eq!(code(&strict, &hs256(SECRET, json!({"alg": "HS256", "kid": "b"}))), "valid");
    let batch = strict.verify_batch(&[&without_kid]);
    assert_eq!(batch[0].as_ref().unwrap_err().code(), "key.kid_required");
}

// finding: F6, D6
#[test]
fn a_set_keeps_what_was_skipped_and_which_keys_were_private() {
    let mut all = KeySet::from_secret(SECRET);
    let mut exposed: Value =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    exposed["d"] = json!("AAAA");
    all.append(&set(&[exposed, json!({"kty": "RSA", "kid": "r", "key_ops": 1})]));
    let private: Vec<bool> = all.keys().iter().map(VerificationKey::was_private).collect();
    assert_eq!(private, [false, true]);
    assert_eq!(all.skipped()[0].kid.as_deref(), Some("r"));
    assert_eq!(code(&verifier(&["RS256"], &all), &token("RS256")), "key.member");
}
