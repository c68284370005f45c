//! The token request, the ID token and UserInfo.

use std::time::Duration;

use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::client::{AuthMethod, Client, Secret};
use claimgate::oidc::id_token::IdTokenError;
use claimgate::oidc::refresh;
use claimgate::oidc::token::{self, Tokens};
use claimgate::oidc::userinfo::{self, SignInClaims, UserInfoError};
use claimgate::time::UnixTime;
use serde_json::{Value, json};

use super::provider::{CLIENT, ISSUER, NOW, Op, random, remove, set};

// finding: V1
#[test]
fn the_token_request_proves_the_client_and_its_answer_is_read_with_care() {
    let op = Op::new();
    let request = |client: &Client| op.token_request(client).http;
    let mut client = Client::new("c:1").with_secret(Secret::new("s:e%cret".to_owned()));
    let sent = request(&client);
    // RFC 6749 §2.3.1: encoded before they are joined.
    assert_eq!(sent.headers()["authorization"], "Basic YyUzQTE6cyUzQWUlMjVjcmV0");
    // A space is `%20`, which every decoder reads; some do not read `+`. "c:a%20%2Bb"
    let spaced = Client::new("c").with_secret(Secret::new("a +b".to_owned()));
    assert_eq!(request(&spaced).headers()["authorization"], "Basic YzphJTIwJTJCYg==");
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
    assert_eq!(typed("null"), Ok(()));
    assert_eq!(typed(r#""DPoP""#).unwrap_err().0, "token.type");
    assert_eq!(typed("1").unwrap_err().0, "token.type");
    // Some leave it out.
    assert_eq!(read(200, r#"{"id_token":"x","access_token":"y"}"#), Ok(()));
}

#[test]
fn a_refusal_that_repeats_the_requests_secrets_is_shown_without_them() {
    let op = Op::new();
    for method in [AuthMethod::SecretBasic, AuthMethod::SecretPost] {
        let mut client = Client::new("c").with_secret(Secret::new("s:e%cret".to_owned()));
        client.method = Some(method);
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

#[test]
fn the_tokens_of_a_sign_in_are_readable_and_not_printed() {
    let op = Op::new();
    let id_token = op.validate(&AuthorizationOptions::default(), json!({}), |_| {}).unwrap();
    assert_eq!(id_token.encoded().split('.').count(), 3);
    let shown = format!("{id_token:?}");
    let claims = SignInClaims::of_id_token(id_token);
    let tokens = claims.id_token().tokens();
    assert_eq!(tokens.access_token().map(Secret::expose), Some("at"));
    assert_eq!(tokens.refresh_token().map(Secret::expose), Some("rt"));
    assert_eq!(tokens.expires_in(), Some(Duration::from_secs(300)));
    assert_eq!(tokens.scope(), Some("openid email"));
    let shown = format!("{shown} {tokens:?} {claims:?}");
    for secret in ["\"at\"", "\"rt\"", claims.id_token().encoded()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_refresh_token_is_exchanged_for_new_tokens() {
    let op = Op::new();
    let id_token = op.validate(&AuthorizationOptions::default(), json!({}), |_| {}).unwrap();
    let before = id_token.tokens();
    let client = Client::new(CLIENT).with_secret(Secret::new("s:e%cret".to_owned()));
    let refresh_token = Secret::new("r%t secret".to_owned());
    let now = UnixTime(NOW);
    let sent = refresh::request(&refresh_token, &client, &op.metadata, now, &mut random()).unwrap();
    let body = String::from_utf8(sent.http.body().clone()).unwrap();
    assert_eq!(body, "grant_type=refresh_token&refresh_token=r%25t+secret");
    assert!(sent.http.headers().contains_key("authorization"));
    let read = |status: u16, body: &Value| {
        let response = http::Response::builder().status(status).body(body.to_string().into_bytes()).unwrap();
        refresh::read(&response, &sent.secrets, before)
    };
    let shown = |tokens: &Tokens| {
        let [access, refresh] = [tokens.access_token(), tokens.refresh_token()];
        let text = |secret: Option<&Secret>| secret.map(|secret| secret.expose().to_owned());
        (
            text(access).unwrap(),
            text(refresh).unwrap(),
            tokens.expires_in(),
            tokens.scope().unwrap().to_owned(),
        )
    };
    let kept = read(200, &json!({"access_token": "at2", "id_token": "not read"})).unwrap();
    assert_eq!(shown(&kept), ("at2".to_owned(), "rt".to_owned(), None, "openid email".to_owned()));
    let all = json!({"access_token": "at3", "refresh_token": "rt3", "expires_in": 9, "scope": "openid"});
    let nine = Some(Duration::from_secs(9));
    assert_eq!(
        shown(&read(200, &all).unwrap()),
        ("at3".to_owned(), "rt3".to_owned(), nine, "openid".to_owned())
    );

    let code = |status, body| read(status, &body).unwrap_err().code();
    assert_eq!(code(200, json!({"refresh_token": "rt3"})), "token.no_access_token");
    assert_eq!(code(200, json!({"access_token": 1})), "token.no_access_token");
    assert_eq!(code(200, json!({"access_token": "at", "token_type": "DPoP"})), "token.type");
    assert_eq!(code(200, json!([])), "token.json");
    let refusal =
        json!({"error": "invalid_grant", "error_description": "r%t secret, r%25t+secret, s:e%cret"});
    let refused = read(400, &refusal).unwrap_err();
    assert!(refused.ends_grant());
    for (status, body) in [
        (400, json!({"error": "invalid_client"})),
        (503, json!({"error": "temporarily_unavailable"})),
        (502, json!([])),
        (200, json!({"refresh_token": "rt3"})),
    ] {
        assert!(!read(status, &body).unwrap_err().ends_grant(), "{status} {body}");
    }
    assert_eq!(refused.to_string(), "the provider's token endpoint refused: invalid_grant: …, …, …");
}

/// What is not of its type counts as absent: a sign-in does not need it.
#[test]
fn a_token_response_may_leave_all_but_the_id_token_out() {
    let op = Op::new();
    for more in [
        json!({}),
        json!({"access_token": "", "refresh_token": "", "expires_in": "300", "scope": ""}),
        json!({"access_token": 1, "refresh_token": null, "expires_in": -1, "scope": ["openid"]}),
        json!({"access_token": null, "refresh_token": {}, "expires_in": 1.5, "scope": null}),
    ] {
        let id_token = op.validate_answer(&more).unwrap();
        let tokens = id_token.tokens();
        assert!(tokens.access_token().is_none() && tokens.refresh_token().is_none(), "{more}");
        assert_eq!((tokens.expires_in(), tokens.scope()), (None, None), "{more}");
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
        ("claims.audience_untrusted", Box::new(set("aud", json!(["crm", "other"])))),
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

// finding: F7, D18, U-g12, U-g14
#[test]
fn auth_time_is_compared_where_max_age_was_asked_for() {
    let op = Op::new();
    let options =
        AuthorizationOptions { max_age: Some(Duration::from_secs(100)), ..AuthorizationOptions::default() };
    let of = |change: Box<dyn FnOnce(&mut Value)>| {
        op.validate(&options, json!({}), change).map(drop).map_err(|error| match error {
            IdTokenError::AuthTime { reason } => reason.split([':', ';']).next().unwrap_or_default(),
            error => error.code(),
        })
    };
    assert_eq!(of(Box::new(|_| {})), Err("is absent"));
    assert_eq!(of(Box::new(set("auth_time", json!(NOW - 160)))), Ok(()));
    assert_eq!(of(Box::new(set("auth_time", json!(NOW - 161)))), Err("is longer ago than max_age allows"));
    assert_eq!(of(Box::new(set("auth_time", json!(NOW + 60)))), Ok(()));
    for future in [NOW + 61, NOW + 365 * 86_400, NOW * 1000] {
        assert_eq!(of(Box::new(set("auth_time", json!(future)))), Err("is in the future"));
    }
    for other in [json!("2026-01-01T00:00:00Z"), json!(null), json!(true)] {
        assert_eq!(of(Box::new(set("auth_time", other))), Err("is not a number"));
    }
    assert_eq!(op.refused(set("auth_time", json!(0))), "accepted");
}

#[test]
fn a_fresh_authentication_is_one_of_this_sign_in() {
    let op = Op::new();
    let options = AuthorizationOptions {
        fresh: true,
        max_age: Some(Duration::from_secs(86_400)),
        ..AuthorizationOptions::default()
    };
    let at = |time: i64| {
        op.validate(&options, json!({}), set("auth_time", json!(time)))
            .map(drop)
            .map_err(|error| error.code())
    };
    assert_eq!(at(NOW - 60), Ok(()));
    assert_eq!(at(NOW - 61), Err("id_token.auth_time"));
    let (url, _) = op.begin(&options);
    let sent: Vec<_> = url.query_pairs().filter(|(name, _)| name == "prompt" || name == "max_age").collect();
    assert_eq!(sent, [("prompt".into(), "login".into()), ("max_age".into(), "0".into())]);
}

// finding: U-s37
#[test]
fn an_absent_nonce_is_not_one_of_another_sign_in() {
    let op = Op::new();
    let reason = |change: Box<dyn FnOnce(&mut Value)>| {
        let refused = op.validate(&AuthorizationOptions::default(), json!({}), change).map(drop).unwrap_err();
        refused.to_string()
    };
    assert!(reason(Box::new(remove("nonce"))).contains("is absent"));
    assert!(reason(Box::new(set("nonce", json!("other")))).contains("another sign-in"));
    assert!(reason(Box::new(set("nonce", json!(null)))).contains("not a string"));
}

// finding: U-s27, U-s30, U-s34, U-s15, U-s33
#[test]
fn a_token_response_says_what_the_provider_said() {
    let op = Op::new();
    let read = |response: http::response::Builder, body: &[u8]| {
        let response = response.body(body.to_vec()).unwrap();
        op.read(&response).map(drop).map_err(|error| (error.code(), error.to_string()))
    };
    let ok = http::Response::builder;
    let refused = read(ok(), br#"{"error":"invalid_grant","error_description":"used"}"#).unwrap_err();
    assert_eq!(refused.0, "token.refused");
    assert!(refused.1.ends_with("invalid_grant: used"), "{}", refused.1);
    let challenge =
        ok().status(401).header("www-authenticate", "Basic realm=\"c d\", error=\"invalid_client\"");
    let refused = read(challenge, b"").unwrap_err();
    assert_eq!(refused.0, "token.refused");
    // The code of this sign-in is `c d`: what repeats it is shown without it.
    assert!(refused.1.contains("status 401 (WWW-Authenticate: Basic realm=\"…\", error="), "{}", refused.1);
    let twice = read(ok(), br#"{"id_token":"x","id_token":"y"}"#).unwrap_err();
    assert_eq!(twice.1, "the token response holds the member `id_token` twice");
    assert_eq!(read(ok(), "\u{feff}{\"id_token\":\"x\"}".as_bytes()), Ok(()));
    let null = read(ok(), br#"{"id_token":null}"#).unwrap_err();
    assert_eq!(null.1, "the token response holds no `id_token`: it is null");
    let typed = read(ok(), br#"{"id_token":"x","token_type":"mac"}"#).unwrap_err();
    assert_eq!(typed.1, "the token response's `token_type` is `mac`, not Bearer");
}

/// Merges a UserInfo response into an ID token with these claims.
fn merged(
    op: &Op,
    change: impl FnOnce(&mut Value),
    response: http::response::Builder,
    body: &[u8],
) -> Result<Value, UserInfoError> {
    let id_token = op.validate(&AuthorizationOptions::default(), json!({}), change).ok().unwrap();
    let request = userinfo::request(&op.metadata, &id_token).unwrap();
    assert_eq!(request.headers()["authorization"], "Bearer at");
    assert!(request.headers()["authorization"].is_sensitive());
    let response = response.body(body.to_vec()).unwrap();
    userinfo::merge(id_token, &response, &op.jws, CLIENT, UnixTime(NOW))
        .map(|claims| claims.as_value().clone())
}

// finding: U-s43, U-s44
#[test]
fn userinfo_is_about_the_same_person_and_does_not_overrule() {
    let op = Op::new();
    let merge = |body: &str, status: u16| {
        merged(&op, set("email", json!("a@x")), http::Response::builder().status(status), body.as_bytes())
    };
    let claims = merge(r#"{"sub":"s1","email":"b@x","groups":["g"]}"#, 200).unwrap();
    assert_eq!((&claims["email"], &claims["groups"]), (&json!("a@x"), &json!(["g"])));
    let claims = merge(r#"{"sub":"s1","acr":"mfa","amr":["otp"],"auth_time":1}"#, 200).unwrap();
    assert!(["acr", "amr", "auth_time"].iter().all(|name| claims.get(name).is_none()), "{claims}");
    for (body, reason) in [
        (r#"{"sub":"s2"}"#, "is another subject"),
        (r#"{"email":"b@x"}"#, "is absent"),
        (r#"{"sub":null}"#, "is absent"),
        (r#"{"sub":["s1"]}"#, "is not a string"),
        (r#"{"sub":42}"#, "is not a string"),
    ] {
        assert_eq!(merge(body, 200), Err(UserInfoError::Subject { reason }));
    }
    assert_eq!(merge(r#"{"sub":"s1","sub":"s2"}"#, 200).unwrap_err().code(), "userinfo.json");
    assert_eq!(merge("<html>", 200).unwrap_err().code(), "userinfo.json");
    assert_eq!(
        merge(r#"{"sub":"s1"}"#, 500).unwrap_err().to_string(),
        "UserInfo was answered with status 500"
    );
    assert_eq!(merge(r#"{"sub":"s1"}"#, 302).unwrap_err().code(), "userinfo.status");
    assert!(merge("\u{feff}{\"sub\":\"s1\"}", 200).is_ok());
}

// finding: U-s46
#[test]
fn a_refusal_of_userinfo_is_shown_without_the_access_token() {
    let op = Op::new();
    let response = http::Response::builder().status(401);
    let response = response.header("www-authenticate", "Bearer error=\"invalid_token\", seen=\"at\"");
    let error = merged(&op, |_| {}, response, b"").unwrap_err().to_string();
    assert_eq!(
        error,
        "UserInfo was answered with status 401 (WWW-Authenticate: Bearer error=\"invalid_token\", seen=\"…\")"
    );
}

// finding: S18
#[test]
fn a_value_and_its_verification_come_from_one_document() {
    let op = Op::new();
    for (own, more, wanted) in [
        // The finding: another address's verification.
        (
            json!({"email": "ceo@x"}),
            json!({"email": "mine@x", "email_verified": true}),
            json!({"email": "ceo@x"}),
        ),
        (json!({"email": "ceo@x"}), json!({"email_verified": true}), json!({"email": "ceo@x"})),
        (json!({"email_verified": true}), json!({"email": "mine@x"}), json!({"email": "mine@x"})),
        (
            json!({"email_verified": true}),
            json!({"email": "mine@x", "email_verified": false}),
            json!({"email": "mine@x", "email_verified": false}),
        ),
        (
            json!({}),
            json!({"email": "mine@x", "email_verified": true}),
            json!({"email": "mine@x", "email_verified": true}),
        ),
        (
            json!({"email": "a@x", "email_verified": false}),
            json!({"email": "b@x", "email_verified": true}),
            json!({"email": "a@x", "email_verified": false}),
        ),
        (json!({"phone_number": "1"}), json!({"phone_number_verified": true}), json!({"phone_number": "1"})),
        (
            json!({"email_verified": true}),
            json!({"groups": ["g"]}),
            json!({"email_verified": true, "groups": ["g"]}),
        ),
    ] {
        let mut body = more.clone();
        body["sub"] = json!("s1");
        let add =
            |claims: &mut Value| claims.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let claims = merged(&op, add, http::Response::builder(), body.to_string().as_bytes()).unwrap();
        for name in ["email", "email_verified", "phone_number", "phone_number_verified", "groups"] {
            assert_eq!(claims.get(name), wanted.get(name), "{name} of {own} and {more}");
        }
    }
}

// finding: D2, U-s61, U-s62
#[test]
fn a_null_claim_of_the_id_token_lets_userinfo_speak_and_an_empty_list_does_not() {
    let op = Op::new();
    let groups = |own: Value| {
        let body = br#"{"sub":"s1","groups":["g"]}"#;
        merged(&op, set("groups", own), http::Response::builder(), body).unwrap()["groups"].clone()
    };
    assert_eq!(groups(json!(null)), json!(["g"]));
    assert_eq!(groups(json!([])), json!([]));
}

// finding: F11, U-s50, U-s51, U-s52
#[test]
fn a_signed_userinfo_response_is_for_the_client() {
    let op = Op::new();
    let several = |claims: &mut Value| claims["aud"] = json!(["crm"]);
    let sign = |claims: Value| op.key.sign(&serde_json::Map::new(), claims.to_string().as_bytes()).unwrap();
    let merge = |claims: Value, media_type: &str| {
        let response = http::Response::builder().header("content-type", media_type);
        merged(&op, several, response, sign(claims).as_bytes()).map(drop)
    };
    let good = json!({"sub": "s1", "iss": ISSUER, "aud": ["crm", "other"]});
    let spoiled = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        merge(claims, "application/jwt").map_err(|error| error.code())
    };
    assert_eq!(merge(good.clone(), "application/jwt"), Ok(()));
    assert_eq!(spoiled("aud", json!("crm")), Ok(()));
    assert_eq!(spoiled("aud", json!("other")), Err("claims.audience"));
    assert_eq!(spoiled("iss", json!("https://other.example.com")), Err("claims.issuer"));
    assert_eq!(merge(json!({"sub": "s1"}), "application/jwt").unwrap_err().code(), "claims.missing");
    for media_type in ["application/json", "text/plain; charset=utf-8"] {
        let error = merge(good.clone(), media_type).unwrap_err();
        assert_eq!(error.code(), "userinfo.json");
        assert!(error.to_string().contains("looks like a JWT"), "{error}");
    }
}
