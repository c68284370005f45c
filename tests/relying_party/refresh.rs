//! The ID token of a refresh (Core §12.2).

use claimgate::Verifier;
use claimgate::claims::Policy;
use claimgate::oidc::Response;
use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::client::{Client, Secret};
use claimgate::oidc::id_token::IdTokenError;
use claimgate::oidc::refresh::{self, OriginalIdToken};
use claimgate::oidc::userinfo::SignInClaims;
use claimgate::time::UnixTime;
use serde_json::{Value, json};

use super::provider::{CLIENT, ISSUER, NOW, Op, random};

/// The seconds between the sign-in and the refresh.
const LATER: i64 = 3600;

/// Refreshes a sign-in: `claims` are added to those of the new ID token, a null is removed; `None`: the provider sends no
/// ID token. Returns the `groups` of the new claims.
fn refreshed(claims: Option<&Value>) -> Result<Option<Value>, IdTokenError> {
    let op = Op::new();
    let signed_in = op.validate(&AuthorizationOptions::default(), json!({}), |_| {}).unwrap();
    let own = signed_in.claims().get("nonce").unwrap().clone();
    let original = serde_json::to_string(&OriginalIdToken::of(&signed_in)).unwrap();
    let original: OriginalIdToken = serde_json::from_str(&original).unwrap();
    let now = UnixTime(NOW + LATER);
    let token = Secret::new("rt".to_owned());
    let sent = refresh::request(&token, &Client::new(CLIENT), &op.metadata, now, &mut random()).unwrap();
    let mut body = json!({"access_token": "at2", "token_type": "Bearer"});
    if let Some(more) = claims {
        let mut new = json!({"iss": ISSUER, "aud": CLIENT, "sub": "s1", "iat": now.0, "exp": now.0 + 300});
        for (name, value) in more.as_object().unwrap() {
            match value {
                Value::Null => drop(new.as_object_mut().unwrap().remove(name)),
                Value::String(text) if text == "that of the sign-in" => new[name] = own.clone(),
                value => new[name] = value.clone(),
            }
        }
        let signed = op.key.sign(&serde_json::Map::new(), new.to_string().as_bytes()).unwrap();
        body["id_token"] = json!(signed);
    }
    let response = Response::new(body.to_string().into_bytes());
    let answer = refresh::read_with_id_token(&response, &sent.secrets, signed_in.tokens()).unwrap();
    assert_eq!(answer.tokens().refresh_token().map(Secret::expose), Some("rt"), "it was not replaced");
    assert_eq!(answer.unverified_id_token().is_some(), claims.is_some());
    let verifier = Verifier::new(op.jws.clone(), Policy::id_token(ISSUER, CLIENT)).unwrap();
    let id_token = refresh::validate(&verifier, &answer, &original, now)?;
    let shown = format!("{answer:?} {original:?}");
    assert!(!shown.contains("at2") && !shown.contains(own.as_str().unwrap()), "{shown}");
    let claims = id_token.map(SignInClaims::of_id_token);
    assert_eq!(
        claims.as_ref().and_then(|claims| claims.id_token().tokens().access_token()).map(Secret::expose),
        claims.as_ref().map(|_| "at2")
    );
    Ok(claims.map(|claims| claims.as_value()["groups"].clone()))
}

#[test]
fn a_refresh_brings_new_claims_of_the_same_person_or_none() {
    assert_eq!(refreshed(None), Ok(None));
    for more in [json!({}), json!({"nonce": "that of the sign-in"}), json!({"auth_time": NOW - 5})] {
        let mut more = more;
        more["groups"] = json!(["t-sales"]);
        assert_eq!(refreshed(Some(&more)), Ok(Some(json!(["t-sales"]))), "{more}");
    }
}

#[test]
fn the_id_token_of_a_refresh_belongs_to_the_sign_in() {
    let code = |more: Value| refreshed(Some(&more)).map(drop).map_err(|error| error.code());
    for (claim, value) in
        [("sub", json!("s2")), ("iat", json!(NOW - 61)), ("nonce", json!("another")), ("nonce", json!(7))]
    {
        let refused = refreshed(Some(&json!({claim: value})));
        assert_eq!(refused, Err(IdTokenError::Refreshed { claim }), "{value}");
    }
    for (expected, more) in [
        ("claims.issuer", json!({"iss": "https://another.example.com"})),
        ("claims.audience", json!({"aud": "another"})),
        ("claims.expired", json!({"iat": NOW, "exp": NOW + 300})),
        ("id_token.at_hash", json!({"at_hash": "AAAA"})),
    ] {
        assert_eq!(code(more.clone()), Err(expected), "{more}");
    }
}
