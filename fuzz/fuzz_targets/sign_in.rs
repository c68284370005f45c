//! A sign-in from the callback's query to the person: whatever the browser and the provider send,
//! what comes out belongs to the sign-in that was begun.
//!
//! Four lines: query, claims of an ID token that is signed here, token response, UserInfo. `{state}`,
//! `{nonce}` and `{token}` in them stand for the right ones.
#![no_main]

use std::sync::LazyLock;

use claimgate::Verifier;
use claimgate::alg::Registry;
use claimgate::claims::{IdToken, Policy};
use claimgate::identity::{GroupSpec, Mapping, MappingSpec};
use claimgate::jws::JwsVerifier;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate::oidc::authorization::{
    self, AuthorizationOptions, AuthorizationRequest, CallbackParameters, CallbackProvider,
};
use claimgate::oidc::client::Client;
use claimgate::oidc::discovery::{EndpointOverrides, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::records::Position;
use claimgate::oidc::sign_in::Person;
use claimgate::oidc::{id_token, token, userinfo};
use claimgate::sign::SigningKey;
use claimgate::time::UnixTime;
use libfuzzer_sys::fuzz_target;
use serde_json::Map;

const ISSUER: &str = "https://idp.example.com";
const SECRET: &[u8] = b"a secret of at least 32 bytes, for fuzzing";
const NOW: UnixTime = UnixTime(1_800_000_000);

struct Provider {
    key: SigningKey,
    jws: JwsVerifier,
    verifier: Verifier<IdToken>,
    metadata: ProviderMetadata,
    mapping: Mapping,
}

static PROVIDER: LazyLock<Provider> = LazyLock::new(|| {
    let keys = KeySet::from_secret(SECRET);
    let jws =
        JwsVerifier::new(&Registry::builtin(), ["HS256"], &keys, Limits::DEFAULT).expect("a fixed set-up");
    let endpoint = |path: &str| Endpoint::parse(&format!("{ISSUER}{path}"), false).ok();
    let overrides = EndpointOverrides {
        authorization_endpoint: endpoint("/authorize"),
        token_endpoint: endpoint("/token"),
        userinfo_endpoint: endpoint("/me"),
        ..EndpointOverrides::default()
    };
    let spec = MappingSpec { groups: vec![GroupSpec::Path("groups".to_owned())], ..MappingSpec::default() };
    Provider {
        key: SigningKey::from_secret(SECRET, "HS256").expect("a fixed key"),
        verifier: Verifier::new(jws.clone(), Policy::id_token(ISSUER, "crm")).expect("a fixed set-up"),
        jws,
        metadata: overrides.complete().expect("every endpoint"),
        mapping: Mapping::compile(&spec, &Limits::DEFAULT).expect("a fixed mapping"),
    }
});

fuzz_target!(|data: &str| {
    let mut lines = data.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (query, claims, answer, person) = (line(), line(), line(), line());
    let provider = &*PROVIDER;
    let options = AuthorizationOptions::default();
    let request = AuthorizationRequest {
        provider: "acme",
        metadata: &provider.metadata,
        client_id: "crm",
        redirect_uri: "https://crm.example.com/callback/acme",
        options: &options,
        return_to: "/reports",
    };
    let mut next = 0;
    let mut random = |bytes: &mut [u8]| {
        next += 1;
        bytes.fill(next);
    };
    let redirect = authorization::begin(&request, NOW, &mut random);
    let pending = redirect.pending;
    let address = url::Url::parse(&redirect.url).expect("an address");
    let nonce = address.query_pairs().find(|(name, _)| name == "nonce").expect("a nonce").1.into_owned();
    let state = pending.state().to_owned();

    let query = query.replace("{state}", &state);
    let asked = CallbackProvider { id: "acme", issuer: ISSUER, metadata: &provider.metadata };
    let parameters = CallbackParameters::parse(&query);
    let accepted = pending.accept(&asked, &parameters, NOW, |used| used == state);
    let Ok(authorization) = accepted else { return };
    let sent: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let values = |name: &str| -> Vec<&str> {
        sent.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value.as_ref()).collect()
    };
    assert_eq!(values("state"), [state.as_str()]);
    assert!(values("code").len() == 1 && values("error").is_empty());
    assert!(values("iss").iter().all(|issuer| *issuer == ISSUER));
    assert_eq!(authorization.return_to, "/reports");

    let claims = claims.replace("{nonce}", &nonce);
    let signed = provider.key.sign(&Map::new(), claims.as_bytes()).expect("HMAC signs anything");
    let answer = http::Response::new(answer.replace("{token}", &signed).into_bytes());
    let client = Client::new("crm");
    let request = token::request(&authorization, &client, &provider.metadata, "https://x", NOW, &mut random);
    let secrets = request.expect("a public client signs nothing").secrets;
    let Ok(response) = token::read(&answer, &secrets) else { return };
    let Ok(id_token) = id_token::validate(&provider.verifier, &response, &authorization, NOW) else {
        return;
    };
    let own = id_token.claims().as_object().clone();
    assert_eq!(own.get("nonce").and_then(|nonce| nonce.as_str()), Some(nonce.as_str()));
    let _ = userinfo::request(&provider.metadata, &id_token);

    let media_type =
        if person.starts_with('{') && person != "{token}" { "application/json" } else { "application/jwt" };
    let mut info = http::Response::new(person.replace("{token}", &signed).into_bytes());
    info.headers_mut().insert("content-type", media_type.parse().expect("a media type"));
    let Ok(merged) = userinfo::merge(id_token, &info, &provider.jws, "crm", NOW) else { return };
    let all = merged.as_value();
    for (name, value) in &own {
        assert_eq!(all.get(name), Some(value), "UserInfo replaced {name}");
    }
    if let Ok(person) = Person::identify(merged, &provider.mapping, Position(NOW.0 * 1000)) {
        assert!(!person.identity().username.is_empty());
    }
});
