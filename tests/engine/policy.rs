//! The policy at its boundaries: times to the second, presets that take nobody else's token.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::time::Duration;

use claimgate::claims::{BACKCHANNEL_LOGOUT_EVENT, Claims, Jwt, Kind, Policy, TenantIssuers, TokenKind};
use claimgate::jws::Header;
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use serde_json::{Value, json};

const NOW: i64 = 1_795_478_400;
const ISSUER: &str = "https://idp.example.com";

fn judge<K: Kind>(policy: &Policy<K>, typ: Option<&str>, claims: &Value, now: i64) -> &'static str {
    let header = match typ {
        Some(typ) => json!({"alg": "RS256", "typ": typ}),
        None => json!({"alg": "RS256"}),
    };
    let header = Header::parse(header.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
    Claims::parse(claims.to_string().as_bytes(), &Limits::DEFAULT)
        .and_then(|claims| policy.validate(&header, &claims, UnixTime(now)))
        .map_or_else(|error| error.code(), |()| "valid")
}

fn jwt() -> Policy<Jwt> {
    Policy::jwt().require_only([""; 0]).any_audience()
}

fn id_claims() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "crm", "iat": NOW, "exp": NOW + 300})
}

fn logout_claims() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "crm", "iat": NOW, "exp": NOW + 300, "jti": "j1",
           "events": {BACKCHANNEL_LOGOUT_EVENT: {}}})
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

// attack: time.exp, time.nbf, time.iat
#[test]
fn times_are_exact_for_every_leeway() {
    for leeway in [0, 1, 60, 86_400] {
        let policy = jwt().danger_leeway(Duration::from_secs(leeway));
        let leeway = i64::try_from(leeway).unwrap();
        for (claim, offset, wanted) in [
            ("exp", -leeway - 1, "claims.expired"),
            ("exp", -leeway, "claims.expired"),
            ("exp", -leeway + 1, "valid"),
            ("nbf", leeway, "valid"),
            ("nbf", leeway + 1, "claims.not_yet_valid"),
            ("iat", leeway, "valid"),
            ("iat", leeway + 1, "claims.issued_in_future"),
        ] {
            assert_eq!(
                judge(&policy, None, &json!({claim: NOW + offset}), NOW),
                wanted,
                "{claim} {offset} leeway {leeway}"
            );
        }
    }
}

// attack: numbers.fraction
#[test]
fn fractions_count_to_the_side_of_the_claim() {
    let policy = jwt().leeway(Duration::ZERO);
    let text = |claim: &str, value: &str| {
        serde_json::from_str::<Value>(&format!("{{\"{claim}\":{value}}}")).unwrap()
    };
    assert_eq!(judge(&policy, None, &text("exp", "1000.5"), 1000), "valid");
    assert_eq!(judge(&policy, None, &text("exp", "1000.0"), 1000), "claims.expired");
    assert_eq!(judge(&policy, None, &text("exp", "1e3"), 999), "valid");
    assert_eq!(judge(&policy, None, &text("nbf", "1000.5"), 1000), "claims.not_yet_valid");
    assert_eq!(judge(&policy, None, &text("nbf", "1000.5"), 1001), "valid");
    assert_eq!(judge(&policy, None, &text("iat", "1000.000001"), 1000), "claims.issued_in_future");
}

#[test]
fn maximum_age_is_exact_and_makes_iat_required() {
    let policy = jwt().leeway(Duration::from_secs(10)).max_token_age(Duration::from_secs(300));
    assert_eq!(judge(&policy, None, &json!({"iat": NOW - 310}), NOW), "valid");
    assert_eq!(judge(&policy, None, &json!({"iat": NOW - 311}), NOW), "claims.too_old");
    assert_eq!(judge(&policy, None, &json!({}), NOW), "claims.missing");
    assert_eq!(
        judge(&jwt().leeway(Duration::ZERO).max_token_age(Duration::ZERO), None, &json!({"iat": NOW}), NOW),
        "valid"
    );
    assert_eq!(
        judge(
            &jwt().leeway(Duration::ZERO).max_token_age(Duration::ZERO),
            None,
            &json!({"iat": NOW - 1}),
            NOW
        ),
        "claims.too_old"
    );
    let ignoring = policy.danger_ignore_issued_at();
    assert_eq!(judge(&ignoring, None, &json!({"iat": NOW - 311}), NOW), "claims.too_old");
}

// attack: numbers.leeway, time.now
#[test]
fn nothing_overflows_at_the_ends() {
    let far = 1_i64 << 53;
    for leeway in [0, 1, u64::MAX / 2, u64::MAX] {
        for now in [i64::MIN, i64::MIN + 1, -1, 0, 1, far, i64::MAX - 1, i64::MAX] {
            for seconds in [0, 1, far] {
                for claim in ["exp", "nbf", "iat"] {
                    let policy =
                        jwt().danger_leeway(Duration::from_secs(leeway)).max_token_age(Duration::MAX);
                    let claims = json!({"iat": 0, claim: seconds});
                    let verdict = judge(&policy, None, &claims, now);
                    // The truth, in numbers that cannot overflow.
                    let (time, slack) = (i128::from(now), i128::from(leeway));
                    let late = |name: &str| i128::from(claims[name].as_i64().unwrap_or(0)) > time + slack;
                    let expired = claim == "exp" && i128::from(seconds) <= time - slack;
                    let wanted = if expired {
                        "claims.expired"
                    } else if claim == "nbf" && late("nbf") {
                        "claims.not_yet_valid"
                    } else if late("iat") {
                        "claims.issued_in_future"
                    } else {
                        "valid"
                    };
                    assert_eq!(verdict, wanted, "{claim} {seconds} at {now}, leeway {leeway}");
                }
            }
        }
    }
    assert_eq!(judge(&jwt().leeway(Duration::MAX), None, &json!({"exp": 0}), i64::MAX), "valid");
    assert_eq!(judge(&jwt().leeway(Duration::MAX), None, &json!({"nbf": far}), i64::MIN), "valid");
    assert_eq!(judge(&jwt().leeway(Duration::ZERO), None, &json!({"exp": far}), i64::MAX), "claims.expired");
    assert_eq!(
        judge(&jwt().leeway(Duration::ZERO), None, &json!({"nbf": 0}), i64::MIN),
        "claims.not_yet_valid"
    );
}

// attack: numbers.type
#[test]
fn times_can_be_ignored_one_by_one_but_never_mistyped() {
    let claims = json!({"exp": 1, "nbf": NOW + 999, "iat": NOW + 999});
    assert_eq!(judge(&jwt(), None, &claims, NOW), "claims.expired");
    assert_eq!(judge(&jwt().danger_ignore_expiry(), None, &claims, NOW), "claims.not_yet_valid");
    assert_eq!(
        judge(&jwt().danger_ignore_expiry().danger_ignore_not_before(), None, &claims, NOW),
        "claims.issued_in_future"
    );
    let all = jwt().danger_ignore_expiry().danger_ignore_not_before().danger_ignore_issued_at();
    assert_eq!(judge(&all, None, &claims, NOW), "valid");
    for claim in ["exp", "nbf", "iat"] {
        for value in [json!("1"), json!(null), json!(true), json!([1]), json!({}), json!(-1)] {
            assert_eq!(judge(&all, None, &json!({claim: value}), NOW), "claims.type");
        }
    }
}

// attack: typ.id-token-as-logout-token, typ.logout-token-as-id-token, typ.access-token-as-either
// attack: typ.as-access-token
#[test]
fn no_preset_takes_another_kinds_token() {
    let id = Policy::id_token(ISSUER, "crm");
    let logout = Policy::logout_token(ISSUER, "crm");
    let access = Policy::access_token(ISSUER, "crm");
    let tokens = [
        ("id", Some("JWT"), id_claims()),
        ("id", None, with(id_claims(), "jti", json!("j"))),
        ("logout", Some("logout+jwt"), logout_claims()),
        ("logout", Some("JWT"), logout_claims()),
        ("logout", None, without(with(logout_claims(), "sid", json!("s")), "sub")),
        ("access", Some("at+jwt"), id_claims()),
        ("access", Some("application/at+jwt"), with(id_claims(), "jti", json!("j"))),
    ];
    for (kind, typ, claims) in &tokens {
        for (preset, verdict) in [
            ("id", judge(&id, *typ, claims, NOW)),
            ("logout", judge(&logout, *typ, claims, NOW)),
            ("access", judge(&access, *typ, claims, NOW)),
        ] {
            assert_eq!(verdict == "valid", *kind == preset, "{kind} ({typ:?}) as {preset}: {verdict}");
        }
        for own in TokenKind::ALL.iter().copied().filter(|own| *own != TokenKind::Jwt) {
            let chosen = Policy::of_kind(own).issuer(ISSUER).audience("crm");
            let verdict = judge(&chosen, *typ, claims, NOW);
            assert_eq!(verdict == "valid", own.name().starts_with(kind), "{kind} ({typ:?}) as {own}");
        }
    }
}

#[test]
fn what_a_preset_requires_cannot_be_waived() {
    let id = Policy::id_token(ISSUER, "crm").require_only([""; 0]);
    for claim in ["iss", "sub", "aud", "exp", "iat"] {
        assert_eq!(judge(&id, None, &without(id_claims(), claim), NOW), "claims.missing", "{claim}");
    }
    assert_eq!(judge(&id, None, &with(id_claims(), "sub", json!("")), NOW), "claims.empty");
    let logout = Policy::logout_token(ISSUER, "crm").require_only([""; 0]);
    for claim in ["iss", "aud", "iat", "jti", "exp"] {
        assert_eq!(judge(&logout, None, &without(logout_claims(), claim), NOW), "claims.missing", "{claim}");
    }
    let logout = Policy::logout_token(ISSUER, "crm").danger_without_expiry();
    assert_eq!(judge(&logout, None, &without(logout_claims(), "exp"), NOW), "valid");
    assert_eq!(judge(&logout, None, &with(logout_claims(), "exp", json!(NOW - 60)), NOW), "claims.expired");
    assert_eq!(judge(&id.danger_without_expiry(), None, &without(id_claims(), "exp"), NOW), "claims.missing");
}

// finding: S24, D15
#[test]
fn a_logout_token_is_no_plain_jwt() {
    for policy in [
        Policy::jwt().any_audience(),
        Policy::jwt().any_audience().require_only(["sub"]).danger_ignore_expiry(),
    ] {
        assert_eq!(judge(&policy, Some("logout+jwt"), &logout_claims(), NOW), "claims.typ");
        assert_eq!(judge(&policy, Some("application/logout+jwt"), &logout_claims(), NOW), "claims.typ");
        assert_eq!(judge(&policy, Some("JWT"), &logout_claims(), NOW), "claims.typ");
        assert_eq!(judge(&policy, None, &logout_claims(), NOW), "claims.typ");
        // The name of the event is enough: the receiver of another implementation may not check its value.
        let event = "http://schemas.openid.net/event/backchannel-logout";
        let odd = with(id_claims(), "events", json!({ event: null }));
        assert_eq!(judge(&policy, None, &odd, NOW), "claims.typ");
        let other = with(id_claims(), "events", json!({"https://schemas.openid.net/secevent/caep": {}}));
        assert_eq!(judge(&policy, None, &other, NOW), "valid");
    }
    let chosen = Policy::of_kind(TokenKind::Jwt).issuer(ISSUER).audience("crm");
    assert_eq!(judge(&chosen, Some("JWT"), &logout_claims(), NOW), "claims.typ");
}

#[test]
fn a_type_of_its_own_does_not_widen_a_kind() {
    let id = Policy::id_token(ISSUER, "crm").typ("at+jwt");
    for (typ, claims) in [(Some("at+jwt"), id_claims()), (Some("JWT"), id_claims()), (None, id_claims())] {
        assert_eq!(judge(&id, typ, &claims, NOW), "claims.typ");
    }
    let logout = Policy::logout_token(ISSUER, "crm").typ("logout+jwt");
    assert_eq!(judge(&logout, Some("logout+jwt"), &logout_claims(), NOW), "valid");
    assert_eq!(judge(&logout, Some("JWT"), &logout_claims(), NOW), "claims.typ");
}

#[test]
fn a_required_claim_is_there_and_not_empty() {
    let policy = jwt().require(["x"]);
    assert_eq!(judge(&policy, None, &json!({}), NOW), "claims.missing");
    assert_eq!(judge(&policy, None, &json!({"x": null}), NOW), "claims.missing");
    for empty in [json!(""), json!([]), json!({})] {
        assert_eq!(judge(&policy, None, &json!({"x": empty}), NOW), "claims.empty");
    }
    for full in [json!("a"), json!([0]), json!({"a": 0}), json!(0), json!(false)] {
        assert_eq!(judge(&policy, None, &json!({"x": full}), NOW), "valid");
    }
    assert_eq!(judge(&Policy::jwt(), None, &json!({}), NOW), "claims.missing");
}

fn addressed(aud: Value, azp: Option<Value>) -> Value {
    let claims = with(id_claims(), "aud", aud);
    azp.map_or(claims.clone(), |azp| with(claims, "azp", azp))
}

// finding: D1, O-F7, U-t10, U-t13, U-t14, U-t16
#[test]
fn every_audience_is_accepted_or_trusted() {
    let policy = Policy::id_token(ISSUER, "crm");
    let trusting = policy.clone().trusted_audience("x").trusted_audience("y");
    for (aud, azp, wanted, trusted) in [
        (json!("crm"), None, "valid", "valid"),
        (json!(["crm"]), None, "valid", "valid"),
        (json!(["crm", "crm"]), None, "valid", "valid"),
        (json!(["x", "crm"]), None, "claims.audience_untrusted", "valid"),
        (json!(["crm", "x", "y", "x"]), None, "claims.audience_untrusted", "valid"),
        (json!(["crm", "x"]), Some(json!("crm")), "claims.audience_untrusted", "valid"),
        (json!(["crm", "z"]), Some(json!("crm")), "claims.audience_untrusted", "claims.audience_untrusted"),
        (json!(["crm", "X"]), None, "claims.audience_untrusted", "claims.audience_untrusted"),
        (json!("x"), None, "claims.audience", "claims.audience"),
        (json!(["crm", "x"]), Some(json!("x")), "claims.audience_untrusted", "claims.azp"),
        (json!(["crm", "x"]), Some(json!(null)), "claims.audience_untrusted", "claims.type"),
    ] {
        let claims = addressed(aud, azp);
        assert_eq!(judge(&policy, None, &claims, NOW), wanted, "{claims}");
        assert_eq!(judge(&trusting, None, &claims, NOW), trusted, "{claims}");
    }
    let logout = Policy::logout_token(ISSUER, "crm");
    let claims = with(logout_claims(), "aud", json!(["crm", "x"]));
    assert_eq!(judge(&logout, None, &claims, NOW), "claims.audience_untrusted");
    assert_eq!(judge(&logout.trusted_audience("x"), None, &claims, NOW), "valid");
    // RFC 7519 §4.1.3 and RFC 9068 §4 ask for one match.
    let access = Policy::access_token(ISSUER, "crm");
    assert_eq!(judge(&access, Some("at+jwt"), &addressed(json!(["crm", "x"]), None), NOW), "valid");
    assert_eq!(
        judge(&jwt().audience("crm"), None, &addressed(json!(["x", "crm"]), Some(json!("z"))), NOW),
        "valid"
    );
}

// finding: D1, O-F7
#[test]
fn the_authorized_party() {
    let policy = Policy::id_token(ISSUER, "crm");
    let claims = |azp: Value| addressed(json!("crm"), Some(azp));
    assert_eq!(judge(&policy, None, &claims(json!("crm")), NOW), "valid");
    assert_eq!(judge(&policy, None, &claims(json!("app")), NOW), "claims.azp");
    assert_eq!(judge(&policy, None, &claims(json!("")), NOW), "claims.azp");
    assert_eq!(judge(&policy, None, &claims(json!(["crm"])), NOW), "claims.type");
    assert_eq!(judge(&policy, None, &claims(json!(null)), NOW), "claims.type");
    let trusting = policy.clone().trusted_party("app");
    assert_eq!(judge(&trusting, None, &claims(json!("app")), NOW), "valid");
    assert_eq!(judge(&trusting, None, &claims(json!("crm")), NOW), "valid");
    assert_eq!(judge(&trusting, None, &addressed(json!("crm"), None), NOW), "valid");
    assert_eq!(judge(&trusting, None, &claims(json!("App")), NOW), "claims.azp");
    // A party is no audience.
    assert_eq!(judge(&trusting, None, &addressed(json!("app"), Some(json!("app"))), NOW), "claims.audience");
    let tied = policy.authorized_party("spa");
    assert_eq!(judge(&tied, None, &claims(json!("spa")), NOW), "valid");
    assert_eq!(judge(&tied, None, &claims(json!("crm")), NOW), "claims.azp");
    assert_eq!(judge(&tied, None, &addressed(json!("crm"), None), NOW), "claims.missing");
}

// finding: D13
#[test]
fn several_accepted_values_are_alternatives() {
    let policy =
        jwt().subject("a").subject("b").token_id("i").token_id("j").nonce("m").nonce("n").typ("x").typ("y");
    let claims = |sub: &str, jti: &str, nonce: &str| json!({"sub": sub, "jti": jti, "nonce": nonce});
    assert_eq!(judge(&policy, Some("y"), &claims("b", "j", "n"), NOW), "valid");
    assert_eq!(judge(&policy, Some("x"), &claims("a", "i", "m"), NOW), "valid");
    assert_eq!(judge(&policy, Some("z"), &claims("a", "i", "m"), NOW), "claims.typ");
    assert_eq!(judge(&policy, Some("x"), &claims("c", "i", "m"), NOW), "claims.subject");
    assert_eq!(judge(&policy, Some("x"), &claims("a", "k", "m"), NOW), "claims.jti");
    assert_eq!(judge(&policy, Some("x"), &claims("a", "i", "mn"), NOW), "claims.nonce");
}

#[test]
fn nonce_subject_identifier_and_type() {
    let policy = Policy::id_token(ISSUER, "crm").nonce("n1");
    for (nonce, wanted) in [
        (json!("n1"), "valid"),
        (json!("n2"), "claims.nonce"),
        (json!(""), "claims.nonce"),
        (json!("n1 "), "claims.nonce"),
        (json!(1), "claims.type"),
        (json!(null), "claims.type"),
    ] {
        assert_eq!(judge(&policy, None, &with(id_claims(), "nonce", nonce), NOW), wanted);
    }
    assert_eq!(judge(&policy, None, &id_claims(), NOW), "claims.missing");
    assert_eq!(judge(&jwt().subject("alice"), None, &id_claims(), NOW), "valid");
    assert_eq!(judge(&jwt().subject("Alice"), None, &id_claims(), NOW), "claims.subject");
    assert_eq!(judge(&jwt().token_id("j"), None, &id_claims(), NOW), "claims.missing");
    let other = with(id_claims(), "jti", json!("j1"));
    assert_eq!(judge(&jwt().token_id("j"), None, &other, NOW), "claims.jti");
    for (typ, wanted) in
        [("x+jwt", "valid"), ("application/X+JWT", "valid"), ("y+jwt", "claims.typ"), ("", "claims.typ")]
    {
        assert_eq!(judge(&jwt().typ("x+jwt"), Some(typ), &json!({}), NOW), wanted);
    }
    assert_eq!(judge(&jwt().typ("x+jwt"), None, &json!({}), NOW), "claims.typ");
}

#[test]
fn names_of_an_issuer_and_audiences_are_alternatives() {
    let policy = jwt().issuer("a").issuer_alias("b").audience("x").audience("y");
    for (claims, wanted) in [
        (json!({"iss": "b", "aud": ["z", "y"]}), "valid"),
        (json!({"iss": "a", "aud": "x"}), "valid"),
        (json!({"iss": "c", "aud": "x"}), "claims.issuer"),
        (json!({"iss": "a", "aud": ["z"]}), "claims.audience"),
        (json!({"aud": "x"}), "claims.missing"),
        (json!({"iss": "a"}), "claims.missing"),
        (json!({"iss": "a", "aud": []}), "claims.type"),
    ] {
        assert_eq!(judge(&policy, None, &claims, NOW), wanted, "{claims}");
    }
}

#[test]
fn a_logout_token_by_its_specification() {
    let policy = Policy::logout_token(ISSUER, "crm");
    for events in [
        json!(null),
        json!([]),
        json!("x"),
        json!({}),
        json!({BACKCHANNEL_LOGOUT_EVENT: []}),
        json!({BACKCHANNEL_LOGOUT_EVENT: true}),
    ] {
        assert_eq!(judge(&policy, None, &with(logout_claims(), "events", events), NOW), "claims.events");
    }
    assert_eq!(
        judge(&policy, None, &with(logout_claims(), "nonce", json!(null)), NOW),
        "claims.nonce_present"
    );
    assert_eq!(judge(&policy, None, &without(logout_claims(), "sub"), NOW), "claims.sub_or_sid");
    assert_eq!(
        judge(&policy, None, &with(without(logout_claims(), "sub"), "sid", json!("")), NOW),
        "claims.sub_or_sid"
    );
    assert_eq!(judge(&policy, None, &with(logout_claims(), "sid", json!([])), NOW), "claims.type");
}

// attack: prefix.tenant
#[test]
fn a_tenant_is_named_by_iss_and_tid_alike() {
    let template = "https://login.example.com/{tenantid}/v2.0";
    let [one, two, other] =
        ["1", "2", "3"].map(|digit| [8, 4, 4, 4, 12].map(|length| digit.repeat(length)).join("-"));
    let named = TenantIssuers::of(template, [&*one, &*two]).unwrap();
    let any = TenantIssuers::danger_any(template).unwrap();
    let issuer = |tenant: &str| template.replace("{tenantid}", tenant);
    let claims = |iss: &str, tid: Value| with(with(id_claims(), "iss", json!(iss)), "tid", tid);
    for (claims, of_named, of_any) in [
        (claims(&issuer(&one), json!(one)), "valid", "valid"),
        (claims(&issuer(&two), json!(two)), "valid", "valid"),
        (claims(&issuer(&other), json!(other)), "claims.issuer", "valid"),
        (claims(&issuer(&one), json!(two)), "claims.tenant", "claims.tenant"),
        (claims(&issuer(&other), json!(one)), "claims.issuer", "claims.tenant"),
        (claims(&issuer(&one), json!(one.replace('1', "A"))), "claims.tenant", "claims.tenant"),
        (claims(template, json!("{tenantid}")), "claims.issuer", "claims.issuer"),
        (claims(&issuer("common"), json!("common")), "claims.issuer", "claims.issuer"),
        (claims(&issuer(&format!("{one}/v2.0/../{two}")), json!(one)), "claims.issuer", "claims.issuer"),
        (claims(&format!("{}/", issuer(&one)), json!(one)), "claims.issuer", "claims.issuer"),
        (claims(&issuer(&one), json!([one])), "claims.type", "claims.type"),
        (without(claims(&issuer(&one), json!(one)), "tid"), "claims.missing", "claims.missing"),
        (without(claims(&issuer(&one), json!(one)), "iss"), "claims.missing", "claims.missing"),
    ] {
        for (issuers, expected) in [(&named, of_named), (&any, of_any)] {
            let policy = Policy::id_token(template, "crm").tenants(issuers);
            assert_eq!(judge(&policy, None, &claims, NOW), expected, "{claims}");
        }
    }
    let logout = with(with(logout_claims(), "iss", json!(issuer(&one))), "tid", json!(two));
    let policy = Policy::logout_token(template, "crm").tenants(&named);
    assert_eq!(judge(&policy, Some("logout+jwt"), &logout, NOW), "claims.tenant");

    assert_eq!(policy.issuers().collect::<Vec<_>>(), [issuer(&one), issuer(&two)]);
    assert!(policy.check().is_ok() && Policy::id_token(template, "crm").tenants(&any).check().is_ok());
    for template in [
        "https://a.example/",
        "https://{tenantid}/v2.0",
        "https://a.example/x{tenantid}/",
        "https://a.example/{tenantid}/{tenantid}",
    ] {
        assert!(TenantIssuers::of(template, [&*one]).is_err(), "{template}");
    }
    for tenant in ["", "common", &one[1..], &one.to_uppercase().replace('1', "A")] {
        assert!(TenantIssuers::of(template, [tenant]).is_err(), "{tenant}");
    }
    assert!(TenantIssuers::of(template, [""; 0]).is_err());
}
