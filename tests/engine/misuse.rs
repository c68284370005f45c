//! What cannot be built, or has no effect, because it would accept what it must not: keys of another issuer,
//! tokens for any audience, verifiers without a usable key.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::time::SystemTime;

use claimgate::alg::Registry;
use claimgate::claims::{AccessToken, AnyKind, Jwt, Policy, TokenKind};
use claimgate::jws::{BuildError, JwsVerifier};
use claimgate::key::{KeySet, VerificationKey};
use claimgate::limits::Limits;
use claimgate::verifier::Issuers;
use claimgate::{Verifier, base64url};
use ring::hmac;
use serde_json::{Value, json};

const A: &str = "https://a.example";
const B: &str = "https://b.example";
const KEY_A: &[u8] = b"the key of issuer a, at least 32 bytes";
const KEY_B: &[u8] = b"the key of issuer b, at least 32 bytes";

fn token(secret: &[u8], claims: &Value) -> String {
    let header = base64url::encode(br#"{"alg":"HS256","typ":"at+jwt"}"#);
    let input = format!("{header}.{}", base64url::encode(claims.to_string().as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", base64url::encode(tag.as_ref()))
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "alice", "aud": "crm", "exp": 4_000_000_000_u64})
}

fn verifier(issuer: &str, secret: &[u8]) -> Verifier<AccessToken> {
    let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(secret));
    builder.policy(Policy::access_token(issuer, "crm")).build().unwrap()
}

fn codes(issuers: &Issuers<AccessToken>, tokens: &[&str]) -> Vec<&'static str> {
    let code = |result: Result<_, claimgate::Error>| result.map_or_else(|error| error.code(), |_| "valid");
    let now = SystemTime::now();
    let single: Vec<_> = tokens.iter().map(|token| code(issuers.verify(token, now).map(|_| ()))).collect();
    let batch = issuers.verify_batch(tokens, now).into_iter().map(|result| code(result.map(|_| ())));
    assert_eq!(single, batch.collect::<Vec<_>>());
    single
}

// attack: kid.other-issuer
#[test]
fn no_issuer_signs_for_another() {
    let issuers = Issuers::new([verifier(A, KEY_A), verifier(B, KEY_B)]).unwrap();
    let tokens = [
        token(KEY_A, &claims(A)),
        token(KEY_B, &claims(B)),
        token(KEY_B, &claims(A)),
        token(KEY_A, &claims(B)),
        token(KEY_A, &claims("https://c.example")),
        token(KEY_A, &json!({"sub": "alice"})),
        token(KEY_A, &json!({"iss": [A]})),
        "not.a.token.at.all".to_owned(),
    ];
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let wanted = [
        "valid",
        "valid",
        "signature.invalid",
        "signature.invalid",
        "claims.issuer",
        "claims.missing",
        "claims.missing",
        "jws.shape",
    ];
    assert_eq!(codes(&issuers, &tokens), wanted);
    // Replaced keys belong to their issuer as well.
    issuers.of(A).unwrap().replace_keys(&KeySet::from_secret(KEY_B)).unwrap();
    assert_eq!(codes(&issuers, &tokens[..4]), ["signature.invalid", "valid", "valid", "signature.invalid"]);
    assert!(issuers.of("https://c.example").is_none());
}

#[test]
fn an_issuer_has_one_verifier_and_may_have_several_names() {
    let shared = Issuers::new([verifier(A, KEY_A), verifier(A, KEY_B)]).unwrap_err();
    assert_eq!(shared, BuildError::SharedIssuer { issuer: A.to_owned() });
    assert_eq!(Issuers::<AccessToken>::new([]).unwrap_err(), BuildError::NoIssuer);
    let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(KEY_A));
    let unnamed = builder.policy(Policy::jwt()).build().unwrap();
    assert_eq!(Issuers::new([unnamed]).unwrap_err(), BuildError::NoIssuer);

    let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(KEY_A));
    let policy = Policy::access_token(A, "crm").issuer_alias("a.example");
    let issuers = Issuers::new([builder.policy(policy).build().unwrap()]).unwrap();
    let (named, alias) = (token(KEY_A, &claims(A)), token(KEY_A, &claims("a.example")));
    assert_eq!(codes(&issuers, &[&named, &alias]), ["valid", "valid"]);
}

// attack: kid.other-issuer
#[test]
fn the_keys_of_two_issuers_are_not_shared() {
    let jws = |secrets: &[&[u8]]| {
        let keys = KeySet::new(secrets.iter().map(|secret| VerificationKey::from_secret(secret)));
        JwsVerifier::new(&Registry::builtin(), ["HS256"], &keys, Limits::DEFAULT).unwrap()
    };
    let of = |jws: &JwsVerifier, issuer: &str| {
        Verifier::new(jws.clone(), Policy::access_token(issuer, "crm")).unwrap()
    };
    let shared = jws(&[KEY_A, KEY_B]);
    let refused = Issuers::new([of(&shared, A), of(&shared, B)]).unwrap_err();
    assert_eq!(refused, BuildError::SharedKeys { issuer: B.to_owned() });
    assert_eq!(refused.code(), "build.shared_keys");
    assert!(Issuers::new([of(&jws(&[KEY_A]), A), of(&jws(&[KEY_B]), B)]).is_ok());
}

/// The name of a variable that is not set is empty.
#[test]
fn an_empty_name_is_none() {
    let build = |policy: Policy<AnyKind>| {
        let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(KEY_A));
        builder.policy(policy).build().map_or_else(|error| error.code(), |_| "built")
    };
    for &kind in TokenKind::ALL {
        let named = Policy::of_kind(kind).issuer(A).audience("crm");
        assert_eq!(build(named.clone()), "built", "{kind}");
        assert_eq!(build(named.clone().issuer("")), "build.no_issuer", "{kind}");
        assert_eq!(build(named.clone().issuer_alias("")), "build.no_issuer", "{kind}");
        assert_eq!(build(named.audience("")), "build.no_audience", "{kind}");
    }
}

#[test]
fn a_published_symmetric_key_verifies_nothing() {
    let k = base64url::encode(KEY_A);
    let set = json!({"keys": [{"kty": "oct", "k": k, "alg": "HS256"}]}).to_string();
    let build = |keys: KeySet| {
        let builder = Verifier::builder().algorithms(["HS256"]).keys(keys);
        builder.policy(Policy::access_token(A, "crm")).build().map_or_else(|error| error.code(), |_| "built")
    };
    assert_eq!(build(KeySet::from_jwks(set.as_bytes(), &Limits::DEFAULT).unwrap()), "key.none_usable");
    let own = KeySet::from_jwks_with_secrets(set.as_bytes(), &Limits::DEFAULT).unwrap();
    assert_eq!(build(own), "built");
}

#[test]
fn the_limits_of_one_issuer_refuse_no_token_of_another() {
    let short_heads =
        Limits { token_bytes: 2 * Limits::DEFAULT.token_bytes, header_bytes: 8, ..Limits::DEFAULT };
    let builder =
        Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(KEY_A)).limits(short_heads);
    let of_a = builder.policy(Policy::access_token(A, "crm")).build().unwrap();
    let issuers = Issuers::new([of_a, verifier(B, KEY_B)]).unwrap();
    assert_eq!(codes(&issuers, &[&token(KEY_B, &claims(B))]), ["valid"]);
}

fn plain(policy: Policy<Jwt>) -> Verifier<Jwt> {
    let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(KEY_A));
    builder.policy(policy).build().unwrap()
}

// attack: prefix.audience-unnamed
#[test]
fn a_token_for_an_audience_needs_a_policy_that_names_it() {
    let code = |policy: Policy<Jwt>, token: &str| {
        plain(policy).verify(token, SystemTime::now()).map_or_else(|error| error.code(), |_| "valid")
    };
    let addressed = token(KEY_A, &claims(A));
    let open = token(KEY_A, &json!({"exp": 4_000_000_000_u64}));
    assert_eq!(code(Policy::jwt(), &addressed), "claims.audience");
    assert_eq!(code(Policy::jwt(), &open), "valid");
    assert_eq!(code(Policy::jwt().any_audience(), &addressed), "valid");
    assert_eq!(code(Policy::jwt().audience("crm"), &addressed), "valid");
    assert_eq!(code(Policy::jwt().audience("erp").any_audience(), &addressed), "claims.audience");
}

#[test]
fn a_kind_that_needs_issuer_and_audience_gets_them() {
    let build = |policy: Policy<AnyKind>| {
        let builder = Verifier::builder().algorithms(["HS256"]).keys(KeySet::from_secret(KEY_A));
        builder.policy(policy).build().map(|_| ())
    };
    let header =
        claimgate::jws::Header::parse(br#"{"alg":"HS256","typ":"at+jwt"}"#, &Limits::DEFAULT).unwrap();
    let set = claimgate::claims::Claims::parse(claims(A).to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    for kind in [TokenKind::IdToken, TokenKind::LogoutToken, TokenKind::AccessToken, TokenKind::SecurityEvent]
    {
        let nameless = Policy::of_kind(kind);
        assert_eq!(build(nameless.clone()).unwrap_err(), BuildError::NoIssuer, "{kind}");
        let unaddressed = nameless.clone().issuer(A).any_audience();
        assert_eq!(build(unaddressed.clone()).unwrap_err(), BuildError::NoAudience, "{kind}");
        assert_eq!(build(nameless.clone().audience("crm")).unwrap_err(), BuildError::NoIssuer, "{kind}");
        assert_eq!(build(unaddressed.clone().audience("crm")), Ok(()), "{kind}");
        // The policy alone accepts nothing either.
        for policy in [nameless.audience("crm"), unaddressed] {
            assert!(policy.validate(&header, &set, SystemTime::now()).is_err(), "{kind}");
        }
    }
    assert_eq!(build(Policy::of_kind(TokenKind::Jwt)), Ok(()));
}

#[test]
fn a_further_requirement_keeps_those_before_it() {
    let code = |policy: Policy<Jwt>, claims: Value| {
        let token = token(KEY_A, &claims);
        plain(policy).verify(&token, SystemTime::now()).map_or_else(|error| error.code(), |_| "valid")
    };
    let both = Policy::jwt().require(["sub"]).require(["email"]);
    let full = json!({"exp": 4_000_000_000_u64, "sub": "a", "email": "b"});
    assert_eq!(code(both.clone(), full.clone()), "valid");
    for claim in ["exp", "sub", "email"] {
        let mut without = full.clone();
        without.as_object_mut().unwrap().remove(claim);
        assert_eq!(code(both.clone(), without), "claims.missing", "{claim}");
    }
    assert_eq!(code(both.require_only(["sub"]), json!({"sub": "a"})), "valid");
}

#[test]
fn a_verifier_has_a_usable_key_or_says_that_it_need_not() {
    let short = KeySet::from_secret(b"short");
    let build = |keys: KeySet| {
        let builder = Verifier::builder().algorithms(["HS256"]).keys(keys).policy(Policy::jwt());
        builder.build().map(|_| ()).map_err(|error| (error.code(), error.to_string()))
    };
    let (code, message) = build(short.clone()).unwrap_err();
    assert_eq!(code, "key.none_usable");
    assert!(message.contains("key 0: the key is weaker"), "{message}");
    let (code, message) = build(KeySet::default()).unwrap_err();
    assert_eq!(code, "key.none_usable");
    assert!(message.ends_with("the set is empty"), "{message}");
    let without = Verifier::builder().algorithms(["HS256"]).policy(Policy::jwt()).build();
    assert_eq!(without.unwrap_err().code(), "key.none_usable");

    let builder = Verifier::builder().algorithms(["HS256"]).any_keys(short.clone()).policy(Policy::jwt());
    let verifier = builder.build().unwrap();
    let text = token(KEY_A, &json!({"exp": 4_000_000_000_u64}));
    let code = |verifier: &Verifier<Jwt>| {
        verifier.verify(&text, SystemTime::now()).map_or_else(|error| error.code(), |_| "valid")
    };
    assert_eq!(code(&verifier), "key.weak");
    assert_eq!(verifier.replace_keys(&KeySet::from_secret(KEY_A)).unwrap().usable, 1);
    assert_eq!(code(&verifier), "valid");
    // A set without a usable key replaces nothing.
    let refused = verifier.replace_keys(&short).unwrap_err();
    assert_eq!((refused.report.usable, refused.report.skipped.len()), (0, 1));
    assert_eq!(refused.code(), "key.none_usable");
    assert_eq!(code(&verifier), "valid");
    assert_eq!(verifier.jws().report_on(&short).usable, 0);
    assert_eq!(verifier.jws().replace_with_any_keys(&short).usable, 0);
    assert_eq!(code(&verifier), "key.weak");
}

#[test]
fn a_signature_stage_needs_a_usable_key() {
    let keys = KeySet::new([
        VerificationKey::from_secret(b"short").with_kid("s"),
        VerificationKey::from_secret(KEY_A),
    ]);
    let verifier = JwsVerifier::new(&Registry::builtin(), ["HS256"], &keys, Limits::DEFAULT).unwrap();
    assert_eq!(verifier.key_report().usable, 1);
    let refused = JwsVerifier::new(&Registry::builtin(), ["RS256"], &keys, Limits::DEFAULT).unwrap_err();
    assert_eq!(refused.code(), "key.none_usable");
}
