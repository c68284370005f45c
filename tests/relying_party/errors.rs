//! Errors of all stages: their codes by one trait, and chains that repeat nothing.

use claimgate::alg::{RegistryError, SignatureError, Unavailable};
use claimgate::claims::ClaimsError;
use claimgate::identity::{IdentityError, Mapping, MappingSpec, OneOrMany};
use claimgate::json::{JsonError, MemberFault};
use claimgate::jws::{AlgorithmError, BuildError, CompactJws, HeaderError, JwsError, JwsVerifier};
use claimgate::key::{KeyError, KeySet};
use claimgate::limits::Limits;
use claimgate::oidc::backchannel::LogoutError;
use claimgate::oidc::discovery::DiscoveryError;
use claimgate::oidc::id_token::IdTokenError;
use claimgate::oidc::jwks::JwksError;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::sign_in::SignInError;
use claimgate::oidc::token::TokenError;
use claimgate::oidc::userinfo::UserInfoError;
use claimgate::path::ClaimPath;
use claimgate::sign::SignError;
use claimgate::verifier::IssuerError;
use claimgate::{Code, Error};

/// One error or more of each type, each that holds another among them.
fn errors() -> Vec<Box<dyn Code>> {
    let json = || JsonError::DuplicateMember { name: "a".to_owned() };
    let token = || Error::from(JwsError::from(KeyError::UnknownKid));
    let store = || StoreError { reason: "the disk is full".to_owned() };
    let down = || Unavailable::new("the device is down");
    let path = ClaimPath::parse("$[").unwrap_err();
    let no_key = JwsVerifier::new(
        &claimgate::alg::Registry::builtin(),
        ["RS256"],
        &KeySet::default(),
        Limits::DEFAULT,
    );
    let spec = MappingSpec { username: OneOrMany::One("$[".to_owned()), ..MappingSpec::default() };
    vec![
        Box::new(CompactJws::parse("", &Limits::DEFAULT).unwrap_err()),
        Box::new(HeaderError::Json(json())),
        Box::new(AlgorithmError),
        Box::new(KeyError::SetJson(json())),
        Box::new(KeyError::Member { member: "n", fault: MemberFault::Absent }),
        Box::new(KeyError::invalid("not a point")),
        Box::new(SignatureError::Unavailable(down())),
        Box::new(JwsError::from(HeaderError::Json(json()))),
        Box::new(token()),
        Box::new(Error::from(ClaimsError::Json(json()))),
        Box::new(ClaimsError::Path(path.clone())),
        Box::new(path),
        Box::new(no_key.unwrap_err()),
        Box::new(BuildError::Registry(RegistryError::None)),
        Box::new(IssuerError::Token(token())),
        Box::new(Mapping::compile(&spec, &Limits::DEFAULT).unwrap_err()),
        Box::new(SignError::Unavailable(down())),
        Box::new(SignError::Json(json())),
        Box::new(TokenError::Assertion(SignError::Unavailable(down()))),
        Box::new(TokenError::Json(json())),
        Box::new(IdTokenError::from(token())),
        Box::new(UserInfoError::from(token())),
        Box::new(LogoutError::from(token())),
        Box::new(LogoutError::from(store())),
        Box::new(JwksError::from(KeyError::SetJson(json()))),
        Box::new(DiscoveryError::Json(json())),
        Box::new(SignInError::from(IdentityError::NoUsername)),
        Box::new(SignInError::from(store())),
    ]
}

/// A report that prints an error and all its sources, as `anyhow` does.
#[test]
fn a_chain_of_sources_repeats_no_text() {
    for error in errors() {
        let text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            assert!(!text.contains(&cause.to_string()), "`{text}` is followed by `{cause}`");
            source = cause.source();
        }
    }
}

#[test]
fn every_error_has_a_code_by_one_trait_and_its_inherent_one() {
    let codes: Vec<_> = errors().iter().map(|error| error.code()).collect();
    assert!(codes.iter().all(|code| code.contains('.') && !code.contains(' ')), "{codes:?}");
    assert_eq!(Code::code(&KeyError::Weak), KeyError::Weak.code());
}

/// What the inner error says is in the text of the outer one: a log that prints one line loses nothing.
#[test]
fn the_text_of_an_error_says_what_the_inner_one_says() {
    let inner = Error::from(JwsError::from(KeyError::UnknownKid)).to_string();
    for outer in [
        IdTokenError::from(Error::from(JwsError::from(KeyError::UnknownKid))).to_string(),
        UserInfoError::from(Error::from(JwsError::from(KeyError::UnknownKid))).to_string(),
        LogoutError::from(Error::from(JwsError::from(KeyError::UnknownKid))).to_string(),
    ] {
        assert!(outer.contains(&inner), "{outer}");
    }
}
