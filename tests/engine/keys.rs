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
    KeySet::from_jwks_with_secrets(json!({ "keys": keys }).to_string().as_bytes(), &Limits::DEFAULT).unwrap()
}

fn verifier(allowed: &[&str], keys: &KeySet) -> JwsVerifier {
    JwsVerifier::with_any_keys(&Registry::builtin(), allowed, keys, Limits::DEFAULT).unwrap()
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
        (with(oct(SECRET), "alg", json!(1)), "alg"),
        (with(oct(SECRET), "use", json!([])), "use"),
        (with(oct(SECRET), "key_ops", json!(["verify", 1])), "key_ops"),
    ] {
        let error = KeySet::from_jwk(jwk.to_string().as_bytes(), &Limits::DEFAULT).unwrap_err();
        assert!(matches!(error, KeyError::Member { member: named, .. } if named == member), "{jwk} {error}");
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
    let read = |text: &str| code_of(KeySet::from_jwks_with_secrets(text.as_bytes(), &limits));
    assert_eq!(read(&text(3)), "read");
    assert_eq!(read(&text(4)), "key.set_too_large");
    assert_eq!(read(&format!("{:400}", r#"{"keys":[]}"#)), "read");
    assert_eq!(read(&format!("{:401}", r#"{"keys":[]}"#)), "key.set_too_large");
    assert_eq!(code_of(KeySet::from_jwk(format!("{:401}", "{}").as_bytes(), &limits)), "key.set_too_large");
    for text in ["{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"Keys":[]}"#] {
        assert_eq!(read(text), "key.member", "{text}");
    }
    for text in ["[]", "", r#"{"keys":[],"keys":[]}"#, r#"{"x":1,"x":1,"keys":[]}"#, r#"{"keys":[]} x"#] {
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

// finding: D16, S10
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
fn a_set_lists_the_skipped_keys_and_the_private_ones() {
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

// finding: D3, U-j02, U-j03, U-j04
#[test]
fn a_null_member_that_is_optional_counts_as_absent() {
    let usable = |jwk: Value| verifier(&["HS256"], &set(&[jwk])).key_report().usable == 1;
    for name in ["use", "alg", "key_ops", "kid"] {
        assert!(usable(with(oct(SECRET), name, json!(null))), "{name}");
    }
    for (name, value) in [("kty", json!(null)), ("k", json!(null)), ("key_ops", json!([null]))] {
        let jwk = with(oct(SECRET), name, value).to_string();
        assert_eq!(code_of(KeySet::from_jwk(jwk.as_bytes(), &Limits::DEFAULT)), "key.member", "{name}");
    }
}

// finding: D4, U-j16, U-j17
// attack: keys.ec-point
#[test]
fn a_coordinate_is_brought_to_full_length_and_still_checked() {
    // The key of RFC 7515 A.3 has no leading zeros; this one of P-256 has one in `x` (scalar 178).
    let good = short_x();
    let full = |member: &str| base64url::decode(good[member].as_str().unwrap().as_bytes()).unwrap();
    let (x, y) = (full("x"), full("y"));
    assert_eq!((x.len(), y.len(), x[0]), (32, 32, 0));
    let reason = |x: &[u8], y: &[u8]| {
        let jwk = with(good.clone(), "x", json!(base64url::encode(x)));
        let keys = set(&[with(jwk, "y", json!(base64url::encode(y)))]);
        let report = verifier(&["ES256"], &keys).key_report();
        report.skipped.first().map_or("usable", |key| key.reason.code())
    };
    assert_eq!(reason(&x, &y), "usable");
    assert_eq!(reason(&x[1..], &y), "usable");
    assert_eq!(reason(&[&[0, 0, 0], x.as_slice()].concat(), &[&[0], y.as_slice()].concat()), "usable");
    // Padding makes no other number: what is cut from the end, or is longer, is no point.
    assert_eq!(reason(&x[..31], &y), "key.invalid");
    assert_eq!(reason(&x, &y[1..]), "key.invalid");
    assert_eq!(reason(&[&[1], x.as_slice()].concat(), &y), "key.invalid");
    assert_eq!(reason(&y, &x), "key.invalid");
    assert_eq!(reason(&[0], &[0]), "key.invalid");
    assert_eq!(reason(&[], &y), "key.member");
}

/// A public key of P-256 whose `x` begins with a zero byte: the first that small private keys give.
fn short_x() -> Value {
    use p256::elliptic_curve::sec1::ToSec1Point;
    let key = (1_u32..).find_map(|scalar| {
        let mut bytes = [0_u8; 32];
        bytes[28..].copy_from_slice(&scalar.to_be_bytes());
        let secret = p256::SecretKey::from_slice(&bytes).unwrap();
        let point = secret.public_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        (x[0] == 0).then(
            || json!({"kty": "EC", "crv": "P-256", "x": base64url::encode(x), "y": base64url::encode(y)}),
        )
    });
    key.unwrap()
}

// finding: D5, U-j20
#[test]
fn eddsa_and_ed25519_are_two_names_of_one_key() {
    let rows = include_str!("../../vectors/good.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let x = rows.filter_map(|row| row["input"]["jwk"].as_object().cloned()).find(|jwk| jwk["kty"] == "OKP");
    let jwk = Value::Object(x.unwrap());
    for (named, allowed, wanted) in [
        ("Ed25519", "EdDSA", 1),
        ("EdDSA", "Ed25519", 1),
        ("Ed25519", "Ed25519", 1),
        ("Ed448", "EdDSA", 0),
        ("ES256", "Ed25519", 0),
    ] {
        let keys = set(&[with(jwk.clone(), "alg", json!(named))]);
        assert_eq!(verifier(&[allowed], &keys).key_report().usable, wanted, "{named} {allowed}");
    }
    // Only for that curve: elsewhere the two are names as any other.
    let keys = set(&[with(oct(SECRET), "alg", json!("EdDSA"))]);
    assert_eq!(keys.keys()[0].permits("Ed25519"), Err(KeyError::WrongAlgorithm));
}

// finding: D7, U-j42
// attack: keys.beside-good
#[test]
fn a_key_that_holds_a_member_twice_is_skipped_alone() {
    let good = with(oct(SECRET), "kid", json!("good")).to_string();
    let text =
        format!(r#"{{"keys":[[{{"a":1,"a":2}}],{{"kty":"oct","kid":"twice","k":"AA","k":"AB"}},{good}]}}"#);
    let keys = KeySet::from_jwks_with_secrets(text.as_bytes(), &Limits::DEFAULT).unwrap();
    assert_eq!(keys.keys().len(), 1);
    assert_eq!(keys.skipped()[1].to_string(), r#"key 1 (kid "twice"): the key holds the member `k` twice"#);
    let verifier = verifier(&["HS256"], &keys);
    let kid = |kid: &str| hs256(SECRET, json!({"alg": "HS256", "kid": kid}));
    assert_eq!(code(&verifier, &kid("good")), "valid");
    assert_eq!(code(&verifier, &kid("twice")), "key.json");
}

// finding: D6, U-j37, U-s18
#[test]
fn a_published_private_key_is_noticed_and_its_public_half_used() {
    let jwks = json!({"keys": [
        with(short_x(), "kid", json!("plain")),
        with(with(short_x(), "kid", json!("pair")), "d", json!("AAAA")),
        with(oct(SECRET), "kid", json!("secret")),
        with(short_x(), "d", json!(null)),
    ]});
    let text = jwks.to_string();
    let keys = KeySet::from_jwks(text.as_bytes(), &Limits::DEFAULT).unwrap();
    let private: Vec<bool> = keys.keys().iter().map(VerificationKey::was_private).collect();
    assert_eq!(private, [false, true, false]);
    assert_eq!(keys.skipped()[0].reason, KeyError::Private);
    assert_eq!(verifier(&["ES256", "HS256"], &keys).key_report().usable, 3);
}

// finding: D11
#[test]
fn a_byte_order_mark_before_a_key_file_is_ignored() {
    let jwk = format!("\u{feff}{}", oct(SECRET));
    assert_eq!(code_of(KeySet::from_jwk(jwk.as_bytes(), &Limits::DEFAULT)), "read");
    let jwks = format!("\u{feff}{}", json!({"keys": [oct(SECRET)]}));
    assert_eq!(code_of(KeySet::from_jwks_with_secrets(jwks.as_bytes(), &Limits::DEFAULT)), "read");
    let text = format!("\u{feff}{}", pem("rsa.spki.pem"));
    assert_eq!(code_of(KeySet::from_pem(&text)), "read");
    assert_eq!(code_of(KeySet::from_jwk(b"\xef\xbb\xbf\xef\xbb\xbf{}", &Limits::DEFAULT)), "key.json");
}

/// Inserts a line end after every `width` characters of the block's text, with `indent` before each line.
fn rewrapped(name: &str, width: usize, indent: &str) -> String {
    let text = pem(name);
    let body: Vec<char> = text.lines().filter(|line| !line.starts_with("---")).flat_map(str::chars).collect();
    let lines: Vec<String> =
        body.chunks(width).map(|line| format!("{indent}{}", line.iter().collect::<String>())).collect();
    let label = if text.contains("CERTIFICATE") { "CERTIFICATE" } else { "PUBLIC KEY" };
    format!("{indent}-----BEGIN {label}-----\n{}\n{indent}-----END {label}-----\n", lines.join("\n"))
}

// finding: F10, U-p04, U-p09, U-p17, U-p19
#[test]
fn pem_is_read_with_any_white_space_and_line_width() {
    let texts = [
        rewrapped("rsa.spki.pem", 76, ""),
        rewrapped("rsa.spki.pem", 48, ""),
        rewrapped("rsa.spki.pem", 1, ""),
        rewrapped("rsa.spki.pem", 64, "    \t"),
        rewrapped("rsa.cert.pem", 76, ""),
        rewrapped("rsa.spki.pem", 10_000, ""),
        rewrapped("rsa.spki.pem", 10_000, "").replace('\n', ""),
        rewrapped("rsa.spki.pem", 10_000, "").replace('\n', " "),
        pem("rsa.spki.pem").replace('\n', "\r\n"),
        pem("rsa.spki.pem").replace('\n', "\r"),
        pem("rsa.spki.pem").replace('\n', "  \n"),
        pem("rsa.spki.pem").replacen('\n', "\n\n \n", 1),
    ];
    for text in texts {
        let keys = KeySet::from_pem(&text).unwrap_or_else(|error| panic!("{error} {text}"));
        assert_eq!(code(&verifier(&["RS256"], &keys), &token("RS256")), "valid", "{text}");
    }
    // White space is all that is borne: no other character, no missing padding, no other label.
    let good = pem("p256.spki.pem");
    for text in [
        good.replacen('M', "M*", 1),
        good.replacen('M', "M\u{a0}", 1),
        good.replacen('M', "M-", 1),
        good.replace("==", "").replace("=\n", "\n").replacen('M', "MM", 1),
        good.replace("END PUBLIC", "END  PUBLIC"),
    ] {
        assert_eq!(code_of(KeySet::from_pem(&text)), "key.pem", "{text}");
    }
}

// finding: D12, F10, U-p03, U-p11
#[test]
fn what_is_not_pem_is_told_apart() {
    let good = pem("p256.spki.pem");
    let bare: String = good.lines().filter(|line| !line.starts_with("---")).collect();
    let der = base64_simd::STANDARD.decode_to_vec(&bare).unwrap();
    for (text, said) in [
        (good.replace('\n', r"\n"), r"`\n`"),
        (bare.clone(), "base64 alone"),
        (format!("{}\n{}\n", &bare[..64], &bare[64..]), "base64 alone"),
        (String::from_utf8_lossy(&der).into_owned(), "-inform DER"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ== ada@example.com".to_owned(), "ssh-keygen -e"),
        ("ecdsa-sha2-nistp256 AAAA ada@example.com".to_owned(), "ssh-keygen -e"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----".to_owned(), "ssh-keygen -e"),
        (oct(SECRET).to_string(), "JSON"),
        ("hello".to_owned(), "no PEM block"),
        (explicit_parameters(), "named_curve"),
    ] {
        let error = KeySet::from_pem(&text).unwrap_err();
        assert_eq!(error.code(), "key.pem");
        assert!(error.to_string().contains(said), "{said}: {error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    for label in ["OPENSSH PRIVATE KEY", "RSA PRIVATE KEY"] {
        let text =
            format!("-----BEGIN {label}-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END {label}-----\n");
        assert_eq!(code_of(KeySet::from_pem(&text)), "key.private", "{label}");
    }
}

/// A SubjectPublicKeyInfo whose parameters are a SEQUENCE, as those of an explicit curve are.
fn explicit_parameters() -> String {
    let der = [
        &[0x30, 0x11, 0x30, 0x0b, 0x06, 0x07][..],
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x30, 0x00],
        &[0x03, 0x02, 0x00, 0x04],
    ];
    let body = base64_simd::STANDARD.encode_to_string(der.concat());
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}
