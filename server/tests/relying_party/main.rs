//! One sign-in by hand, step by step, with everything that can be wrong in it; and what a logout does.
#![allow(clippy::unwrap_used)]

use claimgate::Verifier;
use claimgate::alg::Registry;
use claimgate::claims::Policy;
use claimgate::identity::{Mapping, MappingSpec, OneOrMany, TeamSpec};
use claimgate::jws::JwsVerifier;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::oidc::Response;
use claimgate::oidc::authorization::{
    self, AuthorizationOptions, AuthorizationRequest, AuthorizationResponse, CallbackError,
    CallbackParameters, CallbackProvider, PendingSignIn,
};
use claimgate::oidc::backchannel::{self, LogoutError};
use claimgate::oidc::client::{AuthMethod, Client, Secret};
use claimgate::oidc::discovery::{EndpointOverrides, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::id_token::{self, IdTokenError, ValidatedIdToken};
use claimgate::oidc::logout::LogoutRequest;
use claimgate::oidc::records::{Records, StoreError};
use claimgate::oidc::session::{OidcOrigin, SessionId};
use claimgate::oidc::sign_in::{self, Person, SignInError, SignInPolicy, SignedIn};
use claimgate::oidc::sync::SyncPolicy;
use claimgate::oidc::token::{self, TokenError, TokenRequest, TokenResponse};
use claimgate::oidc::user::{TeamSource, User, UserKind};
use claimgate::oidc::userinfo::{self, SignInClaims, UserInfoError};
use claimgate::sign::SigningKey;
use claimgate::time::UnixTime;
use claimgate_server::store::Store;
use serde_json::{Map, Value, json};

const ISSUER: &str = "https://idp.example.com";
const CLIENT: &str = "crm";
const NOW: i64 = 1_800_000_000;
const NOW_MS: i64 = NOW * 1000;
const CALLBACK: &str = "https://crm.example.com/callback/acme";

/// Numbers in a row: good enough to be told apart.
fn random() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |bytes| {
        next += 1;
        bytes.fill(next);
    }
}

struct Op {
    key: SigningKey,
    jws: JwsVerifier,
    metadata: ProviderMetadata,
}

impl Op {
    fn new() -> Self {
        let key = SigningKey::generate("ES256", 0).unwrap().with_kid("k");
        let jwks = json!({"keys": [key.public_jwk().unwrap()]}).to_string();
        let keys = KeySet::from_jwks(jwks.as_bytes(), &Limits::DEFAULT).unwrap();
        let jws = JwsVerifier::new(&Registry::builtin(), ["ES256"], &keys, Limits::DEFAULT).unwrap();
        let endpoint = |path: &str| Some(Endpoint::parse(&format!("{ISSUER}{path}"), false).unwrap());
        let overrides = EndpointOverrides {
            authorization_endpoint: endpoint("/authorize?tenant=a"),
            token_endpoint: endpoint("/token"),
            userinfo_endpoint: endpoint("/me"),
            jwks_uri: endpoint("/jwks"),
            end_session_endpoint: endpoint("/end"),
        };
        Self { key, jws, metadata: overrides.complete().unwrap() }
    }

    fn begin(&self, options: &AuthorizationOptions) -> (url::Url, PendingSignIn) {
        let request = AuthorizationRequest {
            provider: "acme",
            metadata: &self.metadata,
            client_id: CLIENT,
            redirect_uri: CALLBACK,
            options,
            return_to: "/reports",
        };
        let redirect = authorization::begin(&request, NOW_MS, &mut random());
        (redirect.url.parse().unwrap(), redirect.pending)
    }

    fn asked<'o>(&'o self, id: &'o str) -> CallbackProvider<'o> {
        CallbackProvider { id, issuer: ISSUER, metadata: &self.metadata }
    }

    fn accept(&self, pending: PendingSignIn, code: &str) -> AuthorizationResponse {
        let query = format!("code={code}&state={}", pending.state());
        let parameters = CallbackParameters::parse(&query);
        pending.accept(&self.asked("acme"), &parameters, UnixTime(NOW), |_| true).ok().unwrap()
    }

    fn token_request(&self, client: &Client) -> TokenRequest {
        let (_, pending) = self.begin(&AuthorizationOptions::default());
        let authorization = self.accept(pending, "c%20d");
        token::request(&authorization, client, &self.metadata, CALLBACK, UnixTime(NOW), &mut random())
            .unwrap()
    }

    /// Reads a token response, for a public client.
    fn read(&self, response: &Response) -> Result<TokenResponse, TokenError> {
        let client = Client { id: CLIENT.to_owned(), secret: None, key: None, method: None };
        token::read(response, &self.token_request(&client).secrets)
    }

    /// A whole sign-in, as far as the validated ID token: `change` spoils the claims.
    fn validate(
        &self,
        options: &AuthorizationOptions,
        header: Value,
        change: impl FnOnce(&mut Value),
    ) -> Result<ValidatedIdToken, IdTokenError> {
        let (address, pending) = self.begin(options);
        let nonce = address.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
        let authorization = self.accept(pending, "c");
        let mut claims = json!({
            "iss": ISSUER, "aud": CLIENT, "sub": "s1", "iat": NOW, "exp": NOW + 300, "nonce": nonce,
            "preferred_username": "ada",
        });
        change(&mut claims);
        let Value::Object(header) = header else { panic!() };
        let id_token = self.key.sign(&header, claims.to_string().as_bytes()).unwrap();
        let body = json!({"id_token": id_token, "access_token": "at", "token_type": "Bearer"});
        let response = self.read(&Response::new(body.to_string().into_bytes())).ok().unwrap();
        let verifier = Verifier::new(self.jws.clone(), Policy::id_token(ISSUER, CLIENT));
        id_token::validate(&verifier, &response, &authorization, 60, UnixTime(NOW))
    }

    fn refused(&self, change: impl FnOnce(&mut Value)) -> &'static str {
        match self.validate(&AuthorizationOptions::default(), json!({}), change) {
            Ok(_) => "accepted",
            Err(error) => error.code(),
        }
    }

    fn person(&self, change: impl FnOnce(&mut Value), started_ms: i64) -> Person {
        let id_token = self.validate(&AuthorizationOptions::default(), json!({}), change).ok().unwrap();
        Person::identify(SignInClaims::of_id_token(id_token), &mapping(), started_ms).unwrap()
    }
}

fn mapping() -> Mapping {
    let spec = MappingSpec {
        username: OneOrMany::One("preferred_username".to_owned()),
        profile: [("email".to_owned(), "email".to_owned())].into(),
        groups: vec![claimgate::identity::GroupSpec::Path("groups".to_owned())],
        team: vec![TeamSpec {
            prefix: Some("t-".to_owned()),
            team: Some("{rest}".to_owned()),
            ..TeamSpec::default()
        }],
        ..MappingSpec::default()
    };
    Mapping::compile(&spec, &Limits::DEFAULT).unwrap()
}

fn set(name: &'static str, value: Value) -> impl FnOnce(&mut Value) {
    move |claims| claims[name] = value
}

fn remove(name: &'static str) -> impl FnOnce(&mut Value) {
    move |claims| drop(claims.as_object_mut().unwrap().remove(name))
}

#[test]
fn the_authorization_request_asks_for_what_it_should() {
    let op = Op::new();
    let options = AuthorizationOptions {
        scopes: vec!["profile".to_owned(), "email".to_owned()],
        prompt: Some("login".to_owned()),
        max_age: Some(600),
        essential_claims: vec!["groups".to_owned()],
    };
    let (address, pending) = op.begin(&options);
    let query: Map<String, Value> =
        address.query_pairs().map(|(name, value)| (name.into_owned(), value.into())).collect();
    // An endpoint that already has a query keeps it.
    assert_eq!(query["tenant"], "a");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["scope"], "openid profile email");
    assert_eq!(query["redirect_uri"], CALLBACK);
    assert_eq!(query["state"], pending.state());
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!((&query["prompt"], &query["max_age"]), (&json!("login"), &json!("600")));
    assert_eq!(query["claims"], r#"{"id_token":{"groups":{"essential":true}}}"#);
    // state, nonce and verifier differ, and the verifier does not travel.
    assert_ne!(query["state"], query["nonce"]);
    let kept: Value = serde_json::from_str(&serde_json::to_string(&pending).unwrap()).unwrap();
    assert!(!address.as_str().contains(kept["code_verifier"].as_str().unwrap()));
    let (plain, _) = op.begin(&AuthorizationOptions::default());
    assert!(!plain.as_str().contains("prompt") && !plain.as_str().contains("claims"));
}

// attack: state.absent, state.made-up, state.used-twice, state.old, state.mix-up
#[test]
fn the_callback_belongs_to_this_browser_this_provider_and_this_quarter_of_an_hour() {
    let op = Op::new();
    let accept = |query: &str, provider: &str, later: i64, first: bool| {
        let (_, pending) = op.begin(&AuthorizationOptions::default());
        let query = query.replace("STATE", pending.state());
        let now = UnixTime(NOW + later);
        let parameters = CallbackParameters::parse(&query);
        let accepted = pending.accept(&op.asked(provider), &parameters, now, |_| first);
        accepted.map(|authorization| authorization.return_to)
    };
    assert_eq!(accept("code=c&state=STATE", "acme", 0, true), Ok("/reports".to_owned()));
    assert_eq!(
        accept("code=c&state=STATE&iss=https://idp.example.com", "acme", 900, true).unwrap(),
        "/reports"
    );
    for (query, provider, later, first, code) in [
        ("code=c", "acme", 0, true, "callback.state"),
        ("code=c&state=", "acme", 0, true, "callback.state"),
        ("code=c&state=STATEx", "acme", 0, true, "callback.state"),
        ("code=c&state=STATE", "other", 0, true, "callback.state"),
        ("code=c&state=STATE", "acme", 901, true, "callback.too_late"),
        ("code=c&state=STATE", "acme", 0, false, "callback.used"),
        ("code=c&state=STATE&iss=https://idp.example.com/", "acme", 0, true, "callback.issuer"),
        ("code=c&state=STATE&state=STATE", "acme", 0, true, "callback.parameter"),
        ("state=STATE", "acme", 0, true, "callback.parameter"),
        ("code=&state=STATE", "acme", 0, true, "callback.parameter"),
        ("error=access_denied&state=STATE", "acme", 0, true, "callback.provider_error"),
        ("error=access_denied", "acme", 0, true, "callback.state"),
    ] {
        assert_eq!(accept(query, provider, later, first).unwrap_err().code(), code, "{query}");
    }
    let words = accept("error=e%0d%0a&error_description=a%1b%5b31m&state=STATE", "acme", 0, true);
    assert_eq!(
        words.unwrap_err(),
        CallbackError::Provider { error: "e".to_owned(), description: Some("a[31m".to_owned()) }
    );
}

// attack: state.mix-up
#[test]
fn a_provider_that_promises_iss_must_send_it() {
    let mut op = Op::new();
    op.metadata.iss_in_callback = true;
    let (_, pending) = op.begin(&AuthorizationOptions::default());
    let query = format!("code=c&state={}", pending.state());
    let parameters = CallbackParameters::parse(&query);
    let result = pending.accept(&op.asked("acme"), &parameters, UnixTime(NOW), |_| true);
    assert_eq!(result.err(), Some(CallbackError::Issuer));
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

const OPEN: SignInPolicy = SignInPolicy {
    create_users: true,
    allow_admins: false,
    link_by_username: true,
    sync: SyncPolicy { profile: true, teams: true, keep_hand_given_teams: true, absent_empties: false },
    session_lifetime: 3600,
};

fn sign_in(store: &Store, person: Person, policy: SignInPolicy, id: u8) -> Result<SignedIn, SignInError> {
    store.transact_blocking(move |records| {
        let session = SessionId([id; 16]);
        sign_in::complete(records, &person, &["email"], &policy, session, None, UnixTime(NOW))
    })
}

fn add(store: &Store, name: &'static str, change: impl FnOnce(&mut User) + Send + 'static) -> User {
    let made = store.transact_blocking(move |records| -> Result<User, StoreError> {
        let mut user = records.create_user(name, UserKind::Regular, UnixTime(NOW))?;
        change(&mut user);
        records.update_user(&user, UnixTime(NOW))?;
        Ok(user)
    });
    made.unwrap()
}

fn is_open(store: &Store, id: u8) -> bool {
    store.session_user(SessionId([id; 16]), UnixTime(NOW)).is_some()
}

// attack: mapping.admin-from-outside
#[test]
fn who_may_come_in() {
    let op = Op::new();
    for (kind, allow_admins, active, expected) in [
        (UserKind::Regular, false, true, Ok(())),
        (UserKind::Regular, false, false, Err(SignInError::Inactive)),
        (UserKind::Admin, false, true, Err(SignInError::Admin)),
        (UserKind::Admin, true, true, Ok(())),
        (UserKind::Admin, true, false, Err(SignInError::Inactive)),
        (UserKind::SuperAdmin, true, true, Err(SignInError::Admin)),
        (UserKind::Portal, true, true, Err(SignInError::Kind)),
        (UserKind::Api, true, true, Err(SignInError::Kind)),
        (UserKind::System, true, true, Err(SignInError::Kind)),
    ] {
        let store = Store::in_memory().unwrap();
        add(&store, "ada", move |user| {
            user.kind = kind;
            user.active = active;
        });
        let policy = SignInPolicy { allow_admins, ..OPEN };
        let result = sign_in(&store, op.person(|_| {}, NOW_MS), policy, 1).map(drop);
        assert_eq!(result, expected, "{kind:?} {allow_admins} {active}");
        assert_eq!(is_open(&store, 1), result.is_ok());
        if result.is_err() {
            // Final: no other user was made instead.
            let users = store.transact_blocking(|records| records.list_users("", 10)).unwrap();
            assert_eq!(users.len(), 1);
            assert_eq!(users[0].links, 0);
        }
    }
}

// attack: mapping.two-subjects
#[test]
fn found_linked_created_or_refused() {
    let op = Op::new();
    let store = Store::in_memory().unwrap();
    let closed = SignInPolicy { create_users: false, ..OPEN };
    assert_eq!(sign_in(&store, op.person(|_| {}, NOW_MS), closed, 1).unwrap_err(), SignInError::Unknown);
    let made = sign_in(&store, op.person(set("email", json!("a@x")), NOW_MS), OPEN, 1).unwrap();
    assert!(made.created && made.linked);
    assert_eq!((made.user.kind, made.user.email()), (UserKind::Regular, Some("a@x")));
    let password = store.transact_blocking(move |records| records.password(made.user.id)).unwrap();
    assert_eq!(password, None);
    // The same subject under another name is the same user, who keeps the name.
    let renamed = sign_in(&store, op.person(set("preferred_username", json!("lovelace")), NOW_MS), OPEN, 2);
    let renamed = renamed.unwrap();
    assert_eq!((renamed.user.username.as_str(), renamed.created, renamed.linked), ("ada", false, false));
    // Another subject under the same name, or one that becomes it, is nobody.
    let twin = |name: &'static str| {
        op.person(
            move |claims| {
                claims["sub"] = json!("s2");
                claims["preferred_username"] = json!(name);
            },
            NOW_MS,
        )
    };
    assert_eq!(sign_in(&store, twin("ada"), OPEN, 3).unwrap_err(), SignInError::UsernameTaken);
    assert_eq!(sign_in(&store, twin("ADA"), OPEN, 3).unwrap_err(), SignInError::UsernameTaken);
    // A user made by hand is linked once, unless that is off.
    add(&store, "grace", |_| {});
    let by_name = SignInPolicy { link_by_username: false, ..OPEN };
    assert_eq!(sign_in(&store, twin("grace"), by_name, 3).unwrap_err(), SignInError::UsernameTaken);
    let linked = sign_in(&store, twin("grace"), OPEN, 3).unwrap();
    assert!(linked.linked && !linked.created);
    assert!(is_open(&store, 3));
}

#[test]
fn sync_changes_what_it_may_and_says_what() {
    let op = Op::new();
    let profile = |email: Option<&'static str>, groups: Value| {
        op.person(
            move |claims| {
                claims["groups"] = groups;
                if let Some(email) = email {
                    claims["email"] = json!(email);
                }
            },
            NOW_MS,
        )
    };
    let teams = |user: &User| user.teams.keys().cloned().collect::<Vec<_>>().join(" ");
    for (sync, email, expected) in [
        (OPEN.sync, Some("old@x"), "Chess b"),
        (SyncPolicy { keep_hand_given_teams: false, ..OPEN.sync }, Some("old@x"), "b"),
        (SyncPolicy { absent_empties: true, ..OPEN.sync }, None, "Chess b"),
        (SyncPolicy { profile: false, teams: false, ..OPEN.sync }, Some("old@x"), "Chess a"),
    ] {
        let store = Store::in_memory().unwrap();
        // Without sync too, a new user gets everything.
        let never = SignInPolicy { sync: SyncPolicy { profile: false, teams: false, ..sync }, ..OPEN };
        let mut made = sign_in(&store, profile(Some("old@x"), json!(["t-a"])), never, 1).unwrap().user;
        assert_eq!((made.email(), teams(&made).as_str()), (Some("old@x"), "a"));
        made.teams.insert("Chess".to_owned(), TeamSource::Hand);
        store.transact_blocking(move |records| records.update_user(&made, UnixTime(NOW))).unwrap();
        let policy = SignInPolicy { sync, ..OPEN };
        let signed_in = sign_in(&store, profile(None, json!(["t-b"])), policy, 2).unwrap();
        assert_eq!(signed_in.user.email(), email);
        assert_eq!(teams(&signed_in.user), expected);
        let again = sign_in(&store, profile(None, json!(["t-b"])), policy, 3).unwrap();
        assert_eq!(again.changes, []);
    }
}

fn logout(
    op: &Op,
    store: &Store,
    jti: &str,
    change: impl FnOnce(&mut Value),
    now_ms: i64,
) -> Result<usize, LogoutError> {
    let mut claims = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": jti,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    change(&mut claims);
    let token = op.key.sign(&Map::new(), claims.to_string().as_bytes()).unwrap();
    let verifier = Verifier::new(op.jws.clone(), Policy::logout_token(ISSUER, CLIENT));
    let logout = backchannel::validate(&verifier, &token, 60, now_ms)?;
    store.transact_blocking(move |records| backchannel::apply(records, &logout))
}

/// Three sessions of one subject: two with a sid, one without; and one of somebody else.
fn four_sessions(op: &Op, iat: i64) -> Store {
    let store = Store::in_memory().unwrap();
    for (id, sub, name, sid) in [
        (1, "s1", "ada", Some("A")),
        (2, "s1", "ada", Some("B")),
        (3, "s1", "ada", None),
        (4, "s2", "bob", Some("A2")),
    ] {
        let person = op.person(
            move |claims| {
                claims["sub"] = json!(sub);
                claims["preferred_username"] = json!(name);
                claims["iat"] = json!(iat);
                if let Some(sid) = sid {
                    claims["sid"] = json!(sid);
                }
            },
            NOW_MS,
        );
        sign_in(&store, person, OPEN, id).unwrap();
    }
    store
}

#[test]
fn a_logout_ends_what_it_is_about() {
    let op = Op::new();
    let open = |store: &Store| (1..=4).filter(|id| is_open(store, *id)).collect::<Vec<_>>();
    for (sid, sub, left) in [
        (Some("A"), None, vec![2, 3, 4]),
        // A session that has no sid counts as meant when its subject is named.
        (Some("A"), Some("s1"), vec![2, 4]),
        (None, Some("s1"), vec![4]),
        (Some("unknown"), None, vec![1, 2, 3, 4]),
        (None, Some("unknown"), vec![1, 2, 3, 4]),
    ] {
        let store = four_sessions(&op, NOW);
        let change = move |claims: &mut Value| {
            for (name, value) in [("sid", sid), ("sub", sub)] {
                if let Some(value) = value {
                    claims[name] = json!(value);
                }
            }
        };
        assert_eq!(logout(&op, &store, "j", change, NOW_MS), Ok(4 - left.len()), "{sid:?} {sub:?}");
        assert_eq!(open(&store), left, "{sid:?} {sub:?}");
        let again = logout(&op, &store, "j", change, NOW_MS);
        assert_eq!(again, Err(LogoutError::Replayed));
    }
    // A session whose ID token is newer stays.
    let store = four_sessions(&op, NOW + 1);
    assert_eq!(logout(&op, &store, "j", set("sub", json!("s1")), NOW_MS), Ok(0));
    assert_eq!(open(&store), [1, 2, 3, 4]);
}

// attack: back-channel.no-events, back-channel.nonce, back-channel.nobody
#[test]
fn what_is_no_logout_token_ends_nothing() {
    let op = Op::new();
    let store = four_sessions(&op, NOW);
    let sub = |claims: &mut Value| claims["sub"] = json!("s1");
    for (code, change) in [
        ("claims.missing", Box::new(remove("iat")) as Box<dyn FnOnce(&mut Value)>),
        ("claims.missing", Box::new(remove("jti"))),
        ("claims.missing", Box::new(remove("exp"))),
        ("claims.expired", Box::new(set("exp", json!(NOW - 60)))),
        ("claims.events", Box::new(remove("events"))),
        ("claims.events", Box::new(set("events", json!({"other": {}})))),
        ("claims.events", Box::new(set("events", json!([])))),
        (
            "claims.events",
            Box::new(set("events", json!({"http://schemas.openid.net/event/backchannel-logout": true}))),
        ),
        ("claims.nonce_present", Box::new(set("nonce", json!("n")))),
        ("claims.audience", Box::new(set("aud", json!("other")))),
        ("claims.issuer", Box::new(set("iss", json!("https://other.example.com")))),
        ("claims.sub_or_sid", Box::new(remove("sub"))),
    ] {
        let both = |claims: &mut Value| {
            sub(claims);
            change(claims);
        };
        assert_eq!(logout(&op, &store, "j", both, NOW_MS).unwrap_err().code(), code);
    }
    assert!((1..=4).all(|id| is_open(&store, id)));
    // None of them burnt the jti.
    assert_eq!(logout(&op, &store, "j", sub, NOW_MS), Ok(3));
}

#[test]
fn a_logout_overtakes_a_sign_in_by_either_clock() {
    let op = Op::new();
    let arrives = NOW_MS + 500;
    for (about, started_ms, iat, expected) in [
        // Begun before it came: refused, whatever the ID token's time.
        ("sub", arrives, NOW + 10, Err(SignInError::LoggedOut)),
        ("sid", arrives, NOW + 10, Err(SignInError::LoggedOut)),
        // Begun after it, by an ID token that is no newer.
        ("sub", arrives + 1, NOW, Err(SignInError::LoggedOut)),
        ("sid", arrives + 1, NOW, Err(SignInError::LoggedOut)),
        ("sub", arrives + 1, NOW + 1, Ok(())),
        ("sid", arrives + 1, NOW + 1, Ok(())),
        // About another session.
        ("other", arrives, NOW, Ok(())),
    ] {
        let store = Store::in_memory().unwrap();
        let target = move |claims: &mut Value| match about {
            "sub" => claims["sub"] = json!("s1"),
            "sid" => claims["sid"] = json!("A"),
            _ => claims["sid"] = json!("B"),
        };
        logout(&op, &store, "j", target, arrives).unwrap();
        let person = op.person(
            move |claims| {
                claims["sid"] = json!("A");
                claims["iat"] = json!(iat);
            },
            started_ms,
        );
        let result = sign_in(&store, person, OPEN, 1).map(drop);
        assert_eq!(result, expected, "{about} {started_ms} {iat}");
        assert_eq!(is_open(&store, 1), expected.is_ok());
    }
}

#[test]
fn signing_out_leads_to_the_provider_with_a_hint_that_fits() {
    let op = Op::new();
    let mut origin = OidcOrigin {
        issuer: ISSUER.to_owned(),
        subject: "s1".to_owned(),
        sid: None,
        issued_at: UnixTime(NOW),
        id_token: "a.b.c".to_owned(),
    };
    let ask = |origin: &OidcOrigin, template: Option<&str>| {
        let request = LogoutRequest {
            metadata: Some(&op.metadata),
            template,
            id_token: &origin.id_token,
            client_id: "c&d",
            site_url: "https://crm.example.com",
            post_logout_redirect_uri: "https://crm.example.com/logged-out",
            state: "st",
        };
        request.url()
    };
    assert_eq!(
        ask(&origin, None).unwrap(),
        "https://idp.example.com/end?id_token_hint=a.b.c&client_id=c%26d&post_logout_redirect_uri=https%3A%2F%2Fcrm.example.com%2Flogged-out&state=st"
    );
    assert_eq!(
        ask(&origin, Some("https://x/?c={clientId}&s={siteUrl}")).unwrap(),
        "https://x/?c=c%26d&s=https%3A%2F%2Fcrm.example.com"
    );
    origin.id_token = "x".repeat(6 * 1024 + 1);
    assert!(ask(&origin, None).unwrap().starts_with("https://idp.example.com/end?client_id="));
}

// attack: back-channel.two-fields
#[test]
fn a_form_holds_exactly_one_token() {
    assert_eq!(backchannel::token_of_form(b"logout_token=a.b.c"), Ok("a.b.c".to_owned()));
    assert_eq!(backchannel::token_of_form(b"x=1&logout_token=a"), Ok("a".to_owned()));
    for body in
        [&b""[..], b"logout_token", b"token=a", b"logout_token=a&logout_token=a", b"{\"logout_token\":1}"]
    {
        let result = backchannel::token_of_form(body);
        assert!(result == Err(LogoutError::Request) || result == Ok(String::new()), "{body:?}");
    }
    assert_eq!(backchannel::unverified_issuer("x.y").unwrap_err().code(), "jws.shape");
    assert_eq!(backchannel::unverified_issuer("e30.e30.AA").unwrap_err(), LogoutError::Issuer);
    assert_eq!(backchannel::unverified_issuer("e30.eyJpc3MiOjF9.AA").unwrap_err(), LogoutError::Issuer);
}
