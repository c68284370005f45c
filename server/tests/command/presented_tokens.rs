//! `[provider.verify]`: what presented tokens have to be.
#![allow(clippy::unwrap_used)]

use claimgate::claims::{AnyKind, Policy, TokenKind};
use claimgate::limits::Limits;
use claimgate::time::UnixTime;

use super::configuration::{PROVIDER, parse};

// finding: D1, O-F7
#[test]
fn trusted_names_are_of_the_provider_and_of_presented_tokens() {
    let trust = |more: &str| {
        let config = parse(&format!("{PROVIDER}{more}")).unwrap();
        let provider = &config.providers[0];
        (provider.trust.clone(), provider.presented_trust.clone())
    };
    let (own, presented) = trust("trusted_audiences = [\"a\"]\nauthorized_parties = [\"p\", \"q\"]\n");
    assert_eq!((own.audiences.len(), own.parties.len()), (1, 2));
    assert_eq!(own, presented);
    let (own, presented) = trust(
        "trusted_audiences = [\"a\"]\n[provider.verify]\ntrusted_audiences = []\nauthorized_parties = [\"p\"]\n",
    );
    assert_eq!((own.audiences.len(), own.parties.len()), (1, 0));
    assert_eq!((presented.audiences.len(), presented.parties.len()), (0, 1));
    assert_eq!(trust(""), Default::default());
    for (more, setting) in [
        ("trusted_audiences = [\"\"]\n", "provider[0].trusted_audiences[0]"),
        ("authorized_parties = [\"p\", \"\"]\n", "provider[0].authorized_parties[1]"),
        ("[provider.verify]\ntrusted_audiences = [\"\"]\n", "provider[0].verify.trusted_audiences[0]"),
    ] {
        let error = parse(&format!("{PROVIDER}{more}")).unwrap_err().to_string();
        assert!(error.contains(setting), "{error}");
    }
}

#[test]
fn presented_tokens_have_an_audience() {
    for audience in ["[]", "[\"\"]", "\"\"", "[\"a\", \"\"]"] {
        let error = parse(&format!("{PROVIDER}[provider.verify]\naudience = {audience}\n")).unwrap_err();
        assert!(error.to_string().contains("provider[0].verify.audience: must name"), "{audience}: {error}");
    }
}

#[test]
fn presented_access_tokens_may_be_untyped() {
    use claimgate::claims::Claims;
    use claimgate::jws::Header;
    let verify = "[provider.verify]\nkind = \"access_token\"\naudience = \"api\"\n";
    let policy =
        |more: &str| parse(&format!("{PROVIDER}{verify}{more}")).unwrap().providers[0].presented_policy();
    let header = Header::parse(br#"{"alg":"RS256","typ":"JWT"}"#, &Limits::DEFAULT).unwrap();
    let issuer = policy("").issuers().next().unwrap().to_owned();
    let claims = serde_json::json!({"iss": issuer, "aud": "api", "sub": "ada", "exp": 300, "scope": "a"});
    let claims = Claims::parse(claims.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    let code = |policy: Policy<AnyKind>| {
        policy.validate(&header, &claims, UnixTime(0)).err().map(|error| error.code())
    };
    assert_eq!(code(policy("")), Some("claims.typ"));
    assert_eq!(code(policy("untyped_access_tokens = true\n")), None);
}

#[test]
fn presented_tokens_have_a_table_of_their_own() {
    let config =
        parse(&format!("{PROVIDER}[provider.verify]\nkind = \"access_token\"\naudience = [\"a\", \"b\"]\n"))
            .unwrap();
    let provider = &config.providers[0];
    assert_eq!(provider.presented, TokenKind::AccessToken);
    assert_eq!(provider.audiences, ["a", "b"]);
    assert_eq!(provider.client.id, "crm");
}

// finding: S8
#[test]
fn presented_tokens_have_a_bounded_age() {
    let age = |age: &str| parse(&format!("{PROVIDER}[provider.verify]\nmax_token_age = {age}\n"));
    assert_eq!(age("\"90m\"").unwrap().providers[0].presented_age, 90 * 60);
    assert_eq!(age("\"30d\"").unwrap().providers[0].presented_age, 30 * 24 * 60 * 60);
    for refused in ["0", "\"31d\""] {
        let error = age(refused).unwrap_err().to_string();
        assert!(error.contains("provider[0].verify.max_token_age: must be between"), "{refused}: {error}");
    }
}
