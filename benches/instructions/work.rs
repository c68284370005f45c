//! The works whose instructions are counted. Keys, secrets and times are fixed; between runs only the
//! seeds of the standard library's hash maps differ.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use claimgate::claims::{IdToken, Kind, LogoutToken, Policy};
use claimgate::identity::{GroupSpec, Mapping, MappingSpec, TeamSpec};
use claimgate::jws::CompactJws;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::oidc::backchannel;
use claimgate::path::ClaimPath;
use claimgate::sign::SigningKey;
use claimgate::time::UnixTime;
use claimgate::{Verifier, base64url};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Map, Value, json};

const ISSUER: &str = "https://idp.example.com/realms/acme";
const CLIENT: &str = "crm";
const SECRET: &[u8] = b"not a secret: 32 bytes or more for HS256";
const NOW: i64 = 1_795_437_100;
const LEEWAY: u64 = 60;
const RS256_TOKEN: &str = include_str!("../../vectors/demo/token.txt");
const RS256_KEYS: &str = include_str!("../../vectors/demo/jwks.json");

/// A repeatable piece of work.
pub(crate) type Work = Box<dyn FnMut()>;

/// A name in the table, with the function that prepares its work.
pub(crate) type Named = (&'static str, fn() -> Work);

/// All works, in the order of the table. Each is prepared when its turn comes.
pub(crate) const ALL: [Named; 13] = [
    ("HS256 ID token", || verify(hs256_tokens(id_token), id_policy())),
    ("HS256 logout token", || verify(hs256_tokens(logout_token), logout_policy())),
    ("HS256 logout tokens, a batch of 64", hs256_batch),
    ("HS256 logout token, back-channel", back_channel),
    (RS256, || verify(vec![RS256_TOKEN.trim().to_owned()], id_policy())),
    (RING, ring_alone),
    ("path, literal", || path("preferred_username")),
    ("path, chain", || path("$.resource_access.crm.roles[*]")),
    ("path, match()", || path("$.groups[?match(@,'/crm/.*')]")),
    ("mapping, 10 exact rules", || identify(10)),
    ("mapping, 100,000 exact rules", || identify(100_000)),
    ("mapping, 50 regular expressions", identify_regex),
    ("mapping explained, 10 exact rules", explain),
];

/// The names of RS256 in this crate and of ring's share; the difference is a row of its own.
pub(crate) const RS256: &str = "RS256 ID token, through ring";
pub(crate) const RING: &str = "RS256 signature, ring alone";

fn id_policy() -> Policy<IdToken> {
    Policy::id_token(ISSUER, CLIENT).leeway(Duration::from_secs(LEEWAY))
}

fn logout_policy() -> Policy<LogoutToken> {
    Policy::logout_token(ISSUER, CLIENT).leeway(Duration::from_secs(LEEWAY))
}

/// Returns the claims of an ID token about as large as Keycloak's.
fn id_token(index: usize) -> (&'static str, Value) {
    let claims = json!({
        "exp": NOW + 300, "iat": NOW - 60, "auth_time": NOW - 70, "jti": jti(index), "iss": ISSUER,
        "aud": CLIENT, "sub": "f:7d1c:1042", "typ": "ID", "azp": CLIENT, "sid": "0b9f6a4e", "acr": "1",
        "email_verified": true, "name": "Ada Lovelace", "preferred_username": "ada",
        "given_name": "Ada", "family_name": "Lovelace", "email": "ada@example.com",
        "realm_access": {"roles": ["offline_access", "uma_authorization", "g7"]},
        "resource_access": {"crm": {"roles": ["admin", "user", "audit"]}, "wiki": {"roles": ["reader"]}},
        "groups": ["/crm/sales", "/crm/support", "/wiki/readers", "/everybody"],
    });
    ("JWT", claims)
}

fn logout_token(index: usize) -> (&'static str, Value) {
    let claims = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW - 1, "exp": NOW + 120, "jti": jti(index), "sid": jti(index),
        "sub": "f:7d1c:1042", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    ("logout+jwt", claims)
}

fn jti(index: usize) -> String {
    format!("5f0e2b0c-6c1f-4a53-9f0f-{index:012x}")
}

/// Returns 64 different tokens.
fn hs256_tokens(token: fn(usize) -> (&'static str, Value)) -> Vec<String> {
    let key = SigningKey::from_secret(SECRET, "HS256").expect("a secret").with_kid("2026-11");
    let sign = |index| {
        let (typ, claims) = token(index);
        let header = Map::from_iter([("typ".to_owned(), typ.into())]);
        key.sign(&header, claims.to_string().as_bytes()).expect("HS256 signs")
    };
    (0..64).map(sign).collect()
}

fn verifier<K: Kind>(algorithm: &str, policy: Policy<K>) -> Verifier<K> {
    let keys = match algorithm {
        "RS256" => KeySet::from_jwks(RS256_KEYS.as_bytes(), &Limits::DEFAULT).expect("the demo's keys"),
        _ => KeySet::from_secret(SECRET),
    };
    Verifier::builder().algorithms([algorithm]).keys(keys).policy(policy).build().expect("built in")
}

fn verify<K: Kind>(tokens: Vec<String>, policy: Policy<K>) -> Work {
    let jws = CompactJws::parse(&tokens[0], &Limits::DEFAULT).expect("a token");
    let header = jws.header(&Limits::DEFAULT).expect("a header");
    let verifier = verifier(header.algorithm(), policy);
    let mut next = 0;
    Box::new(move || {
        next = (next + 1) % tokens.len();
        black_box(verifier.verify(black_box(&tokens[next]), UnixTime(NOW)).expect("a good token"));
    })
}

fn hs256_batch() -> Work {
    let tokens = hs256_tokens(logout_token);
    let verifier = verifier("HS256", logout_policy());
    Box::new(move || {
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let results = verifier.verify_batch(black_box(&tokens), UnixTime(NOW));
        assert!(black_box(results).iter().all(Result::is_ok));
    })
}

fn back_channel() -> Work {
    let tokens = hs256_tokens(logout_token);
    let verifier = verifier("HS256", logout_policy());
    let mut next = 0;
    Box::new(move || {
        next = (next + 1) % tokens.len();
        let logout = backchannel::validate(&verifier, black_box(&tokens[next]), UnixTime(NOW));
        black_box(logout.expect("a good token"));
    })
}

fn ring_alone() -> Work {
    let keys: Value = serde_json::from_str(RS256_KEYS).expect("JSON");
    let part = |name: &str| {
        base64url::decode(keys["keys"][0][name].as_str().expect("text").as_bytes()).expect("base64url")
    };
    let key = RsaPublicKeyComponents { n: part("n"), e: part("e") };
    let (input, signature) = RS256_TOKEN.trim().rsplit_once('.').expect("a token");
    let signature = base64url::decode(signature.as_bytes()).expect("base64url");
    Box::new(move || {
        key.verify(&RSA_PKCS1_2048_8192_SHA256, black_box(input.as_bytes()), black_box(&signature))
            .expect("a good signature");
    })
}

/// Selects by a path. The addresses of texts cost the C library's comparisons some instructions; many
/// copies of paths and claims even them out.
fn path(text: &str) -> Work {
    let paths: Vec<_> = (0..16).map(|_| ClaimPath::parse(text).expect("a fixed path")).collect();
    let claims = many_claims();
    let mut next = 0;
    Box::new(move || {
        next += 1;
        let (path, claims) = (&paths[next % 16], &claims[next % 64]);
        let found = path.select(black_box(claims), &Limits::DEFAULT).expect("within the limits");
        assert!(!black_box(found).is_empty());
    })
}

fn many_claims() -> Vec<Value> {
    (0..64).map(|index| id_token(index).1).collect()
}

fn mapping(team: Vec<TeamSpec>) -> Mapping {
    let groups = ["$.realm_access.roles[*]", "groups"].map(|path| GroupSpec::Path(path.to_owned()));
    let spec =
        MappingSpec { groups: groups.to_vec(), team, profile: BTreeMap::new(), ..MappingSpec::default() };
    Mapping::compile(&spec, &Limits::DEFAULT).expect("a fixed mapping")
}

fn exact(rules: usize) -> Mapping {
    let rule = |index| TeamSpec {
        group: Some(format!("g{index}")),
        team: Some(format!("T{index}")),
        ..TeamSpec::default()
    };
    mapping((0..rules).map(rule).collect())
}

fn decide(mapping: Mapping) -> Work {
    let claims = many_claims();
    let mut next = 0;
    Box::new(move || {
        next += 1;
        let identity = mapping.identify(black_box(&claims[next % 64])).expect("an identity");
        assert!(!black_box(identity).teams.is_empty());
    })
}

fn identify(rules: usize) -> Work {
    decide(exact(rules))
}

fn identify_regex() -> Work {
    let rule = |index| TeamSpec {
        regex: Some(format!("/crm{index}?/(?<team>[a-z]+)")),
        team: Some("{team}".to_owned()),
        ..TeamSpec::default()
    };
    decide(mapping((0..50).map(rule).collect()))
}

fn explain() -> Work {
    let mapping = exact(10);
    let claims = many_claims();
    let mut next = 0;
    Box::new(move || {
        next += 1;
        black_box(mapping.explain(black_box(&claims[next % 64])));
    })
}
