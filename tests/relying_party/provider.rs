//! A provider that signs ID tokens with one key, and one sign-in at it, step by step.

use claimgate::Verifier;
use claimgate::alg::Registry;
use claimgate::claims::Policy;
use claimgate::identity::{Mapping, MappingSpec, OneOrMany, TeamSpec};
use claimgate::jws::JwsVerifier;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::oidc::Response;
use claimgate::oidc::authorization::{
    self, AuthorizationOptions, AuthorizationRequest, AuthorizationResponse, CallbackParameters,
    CallbackProvider,
};
use claimgate::oidc::client::Client;
use claimgate::oidc::discovery::{EndpointOverrides, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::id_token::{self, IdTokenError, ValidatedIdToken};
use claimgate::oidc::pending::PendingSignIn;
use claimgate::oidc::records::Position;
use claimgate::oidc::sign_in::Person;
use claimgate::oidc::token::{self, TokenError, TokenRequest, TokenResponse};
use claimgate::oidc::userinfo::SignInClaims;
use claimgate::sign::SigningKey;
use claimgate::time::UnixTime;
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://idp.example.com";

pub(crate) const CLIENT: &str = "crm";

pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) const NOW_MS: i64 = NOW * 1000;

pub(crate) const CALLBACK: &str = "https://crm.example.com/callback/acme";

/// Numbers in a row: good enough to be told apart.
pub(crate) fn random() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |bytes| {
        next += 1;
        bytes.fill(next);
    }
}

/// A provider and the client registered there.
pub(crate) struct Op {
    pub(crate) key: SigningKey,
    pub(crate) jws: JwsVerifier,
    pub(crate) metadata: ProviderMetadata,
}

impl Op {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn begin(&self, options: &AuthorizationOptions) -> (url::Url, PendingSignIn) {
        let request = AuthorizationRequest {
            provider: "acme",
            metadata: &self.metadata,
            client_id: CLIENT,
            redirect_uri: CALLBACK,
            options,
            return_to: "/reports",
        };
        let redirect = authorization::begin(&request, UnixTime(NOW), &mut random());
        (redirect.url.parse().unwrap(), redirect.pending)
    }

    pub(crate) fn asked<'o>(&'o self, id: &'o str) -> CallbackProvider<'o> {
        CallbackProvider { id, issuer: ISSUER, metadata: &self.metadata }
    }

    pub(crate) fn accept(&self, pending: PendingSignIn, code: &str) -> AuthorizationResponse {
        let query = format!("code={code}&state={}", pending.state());
        let parameters = CallbackParameters::parse(&query);
        pending.accept(&self.asked("acme"), &parameters, UnixTime(NOW), |_| true).ok().unwrap()
    }

    pub(crate) fn token_request(&self, client: &Client) -> TokenRequest {
        let (_, pending) = self.begin(&AuthorizationOptions::default());
        let authorization = self.accept(pending, "c%20d");
        token::request(&authorization, client, &self.metadata, CALLBACK, UnixTime(NOW), &mut random())
            .unwrap()
    }

    /// Reads a token response, for a public client.
    pub(crate) fn read(&self, response: &Response) -> Result<TokenResponse, TokenError> {
        let client = Client::new(CLIENT);
        token::read(response, &self.token_request(&client).secrets)
    }

    /// A whole sign-in, as far as the validated ID token: `change` spoils the claims.
    pub(crate) fn validate(
        &self,
        options: &AuthorizationOptions,
        header: Value,
        change: impl FnOnce(&mut Value),
    ) -> Result<ValidatedIdToken, IdTokenError> {
        let more = json!({
            "access_token": "at", "refresh_token": "rt", "expires_in": 300, "scope": "openid email",
        });
        self.validate_with(options, header, change, &more)
    }

    /// The same with these members of the token response beside the ID token.
    pub(crate) fn validate_answer(&self, more: &Value) -> Result<ValidatedIdToken, IdTokenError> {
        self.validate_with(&AuthorizationOptions::default(), json!({}), |_| {}, more)
    }

    fn validate_with(
        &self,
        options: &AuthorizationOptions,
        header: Value,
        change: impl FnOnce(&mut Value),
        more: &Value,
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
        let mut body = json!({"id_token": id_token, "token_type": "Bearer"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let response = self.read(&Response::new(body.to_string().into_bytes())).ok().unwrap();
        let verifier = Verifier::new(self.jws.clone(), Policy::id_token(ISSUER, CLIENT)).unwrap();
        id_token::validate(&verifier, &response, &authorization, UnixTime(NOW))
    }

    pub(crate) fn refused(&self, change: impl FnOnce(&mut Value)) -> &'static str {
        match self.validate(&AuthorizationOptions::default(), json!({}), change) {
            Ok(_) => "accepted",
            Err(error) => error.code(),
        }
    }

    pub(crate) fn person(&self, change: impl FnOnce(&mut Value), started_ms: i64) -> Person {
        self.person_by(&mapping(), change, started_ms)
    }

    pub(crate) fn person_by(
        &self,
        mapping: &Mapping,
        change: impl FnOnce(&mut Value),
        started_ms: i64,
    ) -> Person {
        let id_token = self.validate(&AuthorizationOptions::default(), json!({}), change).ok().unwrap();
        Person::identify(SignInClaims::of_id_token(id_token), mapping, Position(started_ms)).unwrap()
    }
}

pub(crate) fn mapping() -> Mapping {
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

pub(crate) fn set(name: &'static str, value: Value) -> impl FnOnce(&mut Value) {
    move |claims| claims[name] = value
}

pub(crate) fn remove(name: &'static str) -> impl FnOnce(&mut Value) {
    move |claims| drop(claims.as_object_mut().unwrap().remove(name))
}
