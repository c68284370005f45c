//! The token request, the ID token and UserInfo.

use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::client::{AuthMethod, Client, Secret};
use claimgate::oidc::token;
use claimgate::oidc::userinfo::{self, UserInfoError};
use claimgate::time::UnixTime;
use serde_json::{Value, json};

use super::provider::{NOW, Op, remove, set};

#[test]
fn the_token_request_proves_the_client_and_its_answer_is_read_with_care() {
    let op = Op::new();
    let request = |client: &Client| op.token_request(client).http;
    let secret = Some(Secret::new("s:e%cret".to_owned()));
    let mut client = Client { id: "c:1".to_owned(), secret, key: None, method: None };
    let sent = request(&client);
    // RFC 6749 §2.3.1: encoded before they are joined.
    assert_eq!(sent.headers()["authorization"], "Basic YyUzQTE6cyUzQWUlMjVjcmV0");
    let body = String::from_utf8(sent.body().clone()).unwrap();
    assert!(body.starts_with("grant_type=authorization_code&code=c+d&redirect_uri=https%3A%2F%2Fcrm"));
    assert!(body.contains("&code_verifier=") && !body.contains("secret"));
    client.method = Some(AuthMethod::SecretPost);
    let sent = request(&client);
    assert!(!sent.headers().contains_key("authorization"));
    assert!(
        String::from_utf8(sent.body().clone())
            .unwrap()
            .contains("&client_id=c%3A1&client_secret=s%3Ae%25cret")
    );
    assert!(!format!("{client:?}").contains("e%cret"));

    let read = |status: u16, body: &str| {
        let response = http::Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap();
        op.read(&response).map(drop).map_err(|error| (error.code(), error.to_string()))
    };
    let refused = read(400, r#"{"error":"invalid_grant","error_description":"used"}"#).unwrap_err();
    assert_eq!(
        refused,
        ("token.refused", "the provider's token endpoint refused: invalid_grant: used".to_owned())
    );
    assert_eq!(read(500, "<html>").unwrap_err().1, "the provider's token endpoint refused: status 500");
    assert_eq!(read(302, "").unwrap_err().0, "token.refused");
    assert_eq!(read(200, "<html>").unwrap_err().0, "token.json");
    assert_eq!(read(200, r#"{"access_token":"x"}"#).unwrap_err().0, "token.no_id_token");
    assert_eq!(read(200, r#"{"id_token":"x","id_token":"y"}"#).unwrap_err().0, "token.json");
    // RFC 6749 §7.1: not to be used by whoever does not know how.
    let typed =
        |kind: &str| read(200, &format!(r#"{{"id_token":"x","access_token":"y","token_type":{kind}}}"#));
    assert_eq!(typed(r#""bearer""#), Ok(()));
    assert_eq!(typed(r#""DPoP""#).unwrap_err().0, "token.type");
    assert_eq!(typed("1").unwrap_err().0, "token.type");
    // Some leave it out.
    assert_eq!(read(200, r#"{"id_token":"x","access_token":"y"}"#), Ok(()));
}

#[test]
fn a_refusal_that_repeats_the_requests_secrets_is_shown_without_them() {
    let op = Op::new();
    let secret = Some(Secret::new("s:e%cret".to_owned()));
    for method in [AuthMethod::SecretBasic, AuthMethod::SecretPost] {
        let client = Client { id: "c".to_owned(), secret: secret.clone(), key: None, method: Some(method) };
        let request = op.token_request(&client);
        let body = String::from_utf8(request.http.body().clone()).unwrap();
        let header = request.http.headers().get("authorization").map(|value| value.to_str().unwrap());
        let said = format!("you sent {body} {} s:e%cret c d", header.unwrap_or_default());
        let refusal = json!({"error": "invalid_client", "error_description": said}).to_string();
        let response = http::Response::builder().status(401).body(refusal.into_bytes()).unwrap();
        let shown = token::read(&response, &request.secrets).err().unwrap().to_string();
        let verifier = body.split("code_verifier=").nth(1).unwrap().split('&').next().unwrap();
        let credentials = header.map_or("s%3Ae%25cret", |header| header.strip_prefix("Basic ").unwrap());
        for secret in ["s:e%cret", "c+d", "c d", verifier, credentials] {
            assert!(said.contains(secret), "{secret} {said}");
            assert!(!shown.contains(secret), "{secret} {shown}");
        }
    }
}

/// Core §3.1.3.7, and what the conformance suite's relying-party modules try.
// attack: claims-types.sid, typ.logout-token-as-id-token
#[test]
fn the_id_token_is_held_to_every_rule() {
    let op = Op::new();
    assert_eq!(op.refused(|_| {}), "accepted");
    for (code, change) in [
        (
            "claims.issuer",
            Box::new(set("iss", json!("https://idp.example.com/"))) as Box<dyn FnOnce(&mut Value)>,
        ),
        ("claims.missing", Box::new(remove("iss"))),
        ("claims.missing", Box::new(remove("sub"))),
        ("claims.empty", Box::new(set("sub", json!("")))),
        ("claims.type", Box::new(set("sub", json!(1)))),
        ("claims.audience", Box::new(set("aud", json!("other")))),
        ("claims.audience", Box::new(set("aud", json!("CRM")))),
        ("claims.azp", Box::new(set("aud", json!(["crm", "other"])))),
        ("claims.azp", Box::new(set("azp", json!("other")))),
        ("claims.missing", Box::new(remove("iat"))),
        ("claims.missing", Box::new(remove("exp"))),
        ("claims.expired", Box::new(set("exp", json!(NOW - 60)))),
        ("accepted", Box::new(set("exp", json!(NOW - 59)))),
        ("claims.issued_in_future", Box::new(set("iat", json!(NOW + 61)))),
        ("claims.not_yet_valid", Box::new(set("nbf", json!(NOW + 61)))),
        ("id_token.nonce", Box::new(set("nonce", json!("another")))),
        ("id_token.nonce", Box::new(remove("nonce"))),
        ("id_token.nonce", Box::new(set("nonce", json!(null)))),
        ("id_token.at_hash", Box::new(set("at_hash", json!("AAAA")))),
        ("claims.type", Box::new(set("at_hash", json!(1)))),
        ("claims.type", Box::new(set("sid", json!(1)))),
        ("claims.type", Box::new(set("sid", json!(null)))),
        ("accepted", Box::new(set("sid", json!("")))),
        (
            "claims.typ",
            Box::new(set("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}}))),
        ),
    ] {
        assert_eq!(op.refused(change), code);
    }
    // The left half of SHA-256 of "at".
    let digest = ring::digest::digest(&ring::digest::SHA256, b"at");
    let half = claimgate::base64url::encode(&digest.as_ref()[..16]);
    assert_eq!(op.refused(set("at_hash", json!(half))), "accepted");
    let of = |header: Value| {
        op.validate(&AuthorizationOptions::default(), header, |_| {}).map(drop).unwrap_err().code()
    };
    assert_eq!(of(json!({"typ": "logout+jwt"})), "claims.typ");
    assert_eq!(of(json!({"typ": "at+jwt"})), "claims.typ");
    assert_eq!(of(json!({"alg": "none"})), "algorithm.not_allowed");
    assert_eq!(of(json!({"alg": "ES384"})), "algorithm.not_allowed");
    assert_eq!(of(json!({"kid": "unknown"})), "key.unknown_kid");
    assert_eq!(of(json!({"crit": ["x"], "x": 1})), "header.crit");
    // Another key of the same name.
    let mut other = Op::new();
    other.jws = op.jws.clone();
    assert_eq!(other.refused(|_| {}), "signature.invalid");
}

#[test]
fn auth_time_is_compared_where_max_age_was_asked_for() {
    let op = Op::new();
    let options = AuthorizationOptions { max_age: Some(100), ..AuthorizationOptions::default() };
    let of = |change: Box<dyn FnOnce(&mut Value)>| {
        op.validate(&options, json!({}), change).map(drop).map_err(|error| error.code())
    };
    assert_eq!(of(Box::new(|_| {})), Err("id_token.auth_time"));
    assert_eq!(of(Box::new(set("auth_time", json!(NOW - 160)))), Ok(()));
    assert_eq!(of(Box::new(set("auth_time", json!(NOW - 161)))), Err("id_token.auth_time"));
    assert_eq!(of(Box::new(set("auth_time", json!("2026-01-01T00:00:00Z")))), Err("id_token.auth_time"));
    assert_eq!(op.refused(set("auth_time", json!(0))), "accepted");
}

#[test]
fn userinfo_is_about_the_same_person_and_does_not_overrule() {
    let op = Op::new();
    let merge = |body: &str, status: u16| {
        let id_token = op
            .validate(&AuthorizationOptions::default(), json!({}), set("email", json!("a@x")))
            .ok()
            .unwrap();
        let request = userinfo::request(&op.metadata, &id_token).unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer at");
        assert!(request.headers()["authorization"].is_sensitive());
        let response = http::Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap();
        userinfo::merge(id_token, &response, &op.jws, UnixTime(NOW)).map(|claims| claims.as_value().clone())
    };
    let claims = merge(r#"{"sub":"s1","email":"b@x","groups":["g"]}"#, 200).unwrap();
    assert_eq!((&claims["email"], &claims["groups"]), (&json!("a@x"), &json!(["g"])));
    assert_eq!(merge(r#"{"sub":"s2"}"#, 200), Err(UserInfoError::Subject));
    assert_eq!(merge(r#"{"email":"b@x"}"#, 200), Err(UserInfoError::Subject));
    assert_eq!(merge(r#"{"sub":["s1"]}"#, 200), Err(UserInfoError::Subject));
    assert_eq!(merge(r#"{"sub":"s1","sub":"s2"}"#, 200).unwrap_err().code(), "userinfo.json");
    assert_eq!(merge("<html>", 200).unwrap_err().code(), "userinfo.json");
    assert_eq!(merge(r#"{"sub":"s1"}"#, 500), Err(UserInfoError::Status { status: 500 }));
    assert_eq!(merge(r#"{"sub":"s1"}"#, 302), Err(UserInfoError::Status { status: 302 }));
}
