//! The decision on a session whose tokens were refreshed.

use claimgate::identity::{GroupSpec, GroupsState, Mapping, MappingSpec, OneOrMany, TeamSpec};
use claimgate::limits::Limits;
use claimgate::oidc::Response;
use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::refresh::{MAX_STORED_GRANT, OriginalIdToken, StoredGrant};
use claimgate::oidc::session_refresh::{
    RefreshPlan, RefreshedClaims, RefreshedKept, RefreshedPerson, decide,
};
use claimgate::oidc::sign_in::{SignInError, SignInPolicy};
use claimgate::oidc::sync::{AbsentGroups, Change, SyncPolicy};
use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};
use claimgate::oidc::userinfo::SignInClaims;
use claimgate::path::ClaimPath;
use claimgate::time::UnixTime;
use serde_json::{Value, json};

use super::provider::{CLIENT, ISSUER, NOW, Op, mapping};
use super::sign_in::OPEN;

const OWNER: UserId = UserId(7);

fn ada() -> User {
    User {
        id: OWNER,
        username: "ada".to_owned(),
        kind: UserKind::Regular,
        active: true,
        profile: [("email".to_owned(), "old@example.com".to_owned())].into(),
        teams: [("sales".to_owned(), TeamSource::Mapping), ("by hand".to_owned(), TeamSource::Hand)].into(),
    }
}

fn policy() -> SignInPolicy {
    let sync = SyncPolicy {
        profile: true,
        teams: true,
        keep_hand_given_teams: true,
        absent_empties: true,
        absent_groups: AbsentGroups::Clear,
    };
    SignInPolicy { sync, create_users: true, ..OPEN }
}

fn add(claims: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
}

fn original(op: &Op, more: &Value) -> OriginalIdToken {
    let token = op.validate(&AuthorizationOptions::default(), json!({}), |claims| add(claims, more)).unwrap();
    OriginalIdToken::of(&token)
}

/// The claims of a refresh with a new ID token, after a sign-in with `before`.
fn whole(before: &Value, more: &Value) -> RefreshedClaims {
    let op = Op::new();
    let token = op.validate(&AuthorizationOptions::default(), json!({}), |claims| add(claims, more)).unwrap();
    RefreshedClaims::whole(SignInClaims::of_id_token(token), &original(&op, before))
}

/// The claims of a refresh without an ID token, by UserInfo.
fn of_userinfo(body: &Value) -> Result<RefreshedClaims, &'static str> {
    let op = Op::new();
    let token = op.validate(&AuthorizationOptions::default(), json!({}), |_| {}).unwrap();
    let response = Response::new(body.to_string().into_bytes());
    let original = OriginalIdToken::of(&token);
    RefreshedClaims::of_userinfo(&response, &original, token.tokens(), (&op.jws, CLIENT), UnixTime(NOW))
        .map_err(|error| error.code())
}

/// The claims of a refresh that brought tokens alone.
fn none() -> RefreshedClaims {
    RefreshedClaims::none(&original(&Op::new(), &json!({})))
}

fn person(claims: &RefreshedClaims) -> Result<RefreshedPerson, SignInError> {
    RefreshedPerson::identify(claims, &mapping(), &[]).map(|(person, _)| person)
}

fn decided(claims: &RefreshedClaims, user: Option<User>) -> Result<RefreshPlan, &'static str> {
    let person = person(claims).map_err(|error| error.code())?;
    decide(user, OWNER, &person, &["email"], &policy()).map_err(|error| error.code())
}

fn teams(plan: &RefreshPlan) -> Vec<&str> {
    plan.user.teams.keys().map(String::as_str).collect()
}

#[test]
fn groups_and_profile_follow_the_provider() {
    let new = json!({"groups": ["t-support"], "email": "new@example.com"});
    let plan = decided(&whole(&json!({}), &new), Some(ada())).unwrap();
    assert_eq!(teams(&plan), ["by hand", "support"]);
    assert_eq!(plan.user.email(), Some("new@example.com"));
    assert_eq!(plan.groups_state, GroupsState::Received);
    assert_eq!(plan.changes.len(), 3);
    let again = decided(&whole(&json!({}), &new), Some(plan.user.clone())).unwrap();
    assert_eq!((again.user, again.changes), (plan.user, vec![]), "the second changes nothing");
}

#[test]
fn groups_that_the_provider_left_out_are_not_lost_and_absent_ones_are() {
    let plan = decided(&whole(&json!({}), &json!({"hasgroups": true})), Some(ada())).unwrap();
    assert_eq!(teams(&plan), ["by hand", "sales"]);
    let plan = decided(&whole(&json!({}), &json!({})), Some(ada())).unwrap();
    assert_eq!(teams(&plan), ["by hand"]);
    assert_eq!(plan.user.email(), None, "absent_empties");
}

#[test]
fn without_an_id_token_what_userinfo_does_not_say_stays() {
    let plan = decided(&none(), Some(ada())).unwrap();
    assert_eq!((plan.changes, plan.kept), (vec![], RefreshedKept::Known(KeptClaims::default())));
    let silent = of_userinfo(&json!({"sub": "s1", "preferred_username": "ada"})).unwrap();
    assert_eq!(decided(&silent, Some(ada())).unwrap().changes, []);
    // Of a provider whose UserInfo is complete, what it does not say does not exist.
    let complete = |claims| decided(&of_userinfo(&claims).unwrap().into_whole(), Some(ada()));
    let plan = complete(json!({"sub": "s1", "preferred_username": "ada"})).unwrap();
    assert_eq!(teams(&plan), ["by hand"]);
    assert_eq!(complete(json!({"sub": "s1"})).map(drop), Err("identity.no_username"));
    let moved = json!({"sub": "s1", "preferred_username": "ada", "groups": ["t-support"]});
    assert_eq!(teams(&decided(&of_userinfo(&moved).unwrap(), Some(ada())).unwrap()), ["by hand", "support"]);
    assert_eq!(of_userinfo(&json!({"sub": "s2"})).map(drop), Err("userinfo.subject"));
}

#[test]
fn whoever_would_not_be_admitted_again_is_signed_out() {
    let claims = whole(&json!({}), &json!({"groups": ["t-sales"]}));
    let inactive = User { active: false, ..ada() };
    assert_eq!(decided(&claims, Some(inactive.clone())), Err("sign_in.inactive"));
    assert_eq!(decided(&none(), Some(inactive)), Err("sign_in.inactive"));
    for (kind, code) in [(UserKind::Api, "sign_in.kind"), (UserKind::SuperAdmin, "sign_in.admin")] {
        assert_eq!(decided(&claims, Some(User { kind, ..ada() })), Err(code));
    }
    let nameless = whole(&json!({}), &json!({"preferred_username": null}));
    assert_eq!(decided(&nameless, Some(ada())), Err("identity.no_username"));
}

#[test]
fn a_refresh_creates_and_links_nobody() {
    let claims = whole(&json!({}), &json!({"groups": ["t-sales"]}));
    assert_eq!(decided(&claims, None), Err("sign_in.unknown"), "whatever create_users says");
    let other = User { id: UserId(8), ..ada() };
    assert_eq!(decided(&claims, Some(other)), Err("sign_in.unknown"), "the subject is another user's now");
}

#[test]
fn how_the_person_authenticated_stays_what_the_sign_in_said() {
    let paths = ["acr", "auth_time", "department"].map(|path| ClaimPath::parse(path).unwrap());
    let kept = |before: Value, more: Value| {
        let (person, left_out) =
            RefreshedPerson::identify(&whole(&before, &more), &mapping(), &paths).unwrap();
        assert!(left_out.is_empty());
        decide(Some(ada()), OWNER, &person, &["email"], &policy()).unwrap().kept.after(&KeptClaims::default())
    };
    let of = |claims: Value| KeptClaims::of(&claims, &paths).0;
    let before = json!({"acr": "password", "auth_time": NOW - 100, "department": "x"});
    let after = kept(before.clone(), json!({"acr": "mfa", "auth_time": NOW, "department": "y"}));
    assert_eq!(after, of(json!({"acr": "password", "auth_time": NOW - 100, "department": "y"})));
    let after = kept(before.clone(), json!({"department": "x"}));
    assert_eq!(after, of(before), "a refresh that says nothing takes nothing away");
    let after = kept(json!({}), json!({"acr": "mfa"}));
    assert_eq!(after, of(json!({})), "nor does it add");
}

#[test]
fn a_refresh_that_changes_nothing_writes_nothing() {
    let paths = [ClaimPath::parse("department").unwrap()];
    let claims = json!({"groups": ["t-sales"], "email": "old@example.com", "department": "x"});
    let (person, _) = RefreshedPerson::identify(&whole(&json!({}), &claims), &mapping(), &paths).unwrap();
    let plan = decide(Some(ada()), OWNER, &person, &["email"], &policy()).unwrap();
    assert!(!plan.changes_anything(&KeptClaims::of(&claims, &paths).0));
    assert!(plan.changes_anything(&KeptClaims::of(&json!({"department": "y"}), &paths).0));
    assert_eq!(plan.changed_kind(), None);
    let admin = RefreshPlan {
        changes: vec![Change::SetKind { from: UserKind::Admin, to: UserKind::Regular }],
        ..plan
    };
    assert_eq!(admin.changed_kind(), Some((UserKind::Admin, UserKind::Regular)));
}

#[test]
fn a_grant_is_kept_as_a_text_of_bounded_length_and_printed_without_its_token() {
    let op = Op::new();
    let with =
        |token: &str| op.validate_answer(&json!({"access_token": "at", "refresh_token": token})).unwrap();
    assert!(StoredGrant::of(&op.validate_answer(&json!({"access_token": "at"})).unwrap()).is_none());
    let grant = StoredGrant::of(&with("a secret")).unwrap();
    let text = grant.to_text().unwrap();
    assert!(!format!("{grant:?}").contains("a secret"));
    let read = StoredGrant::from_text(&text).unwrap();
    assert_eq!(read.refresh_token().expose(), "a secret");
    assert_eq!((read.original().issuer(), read.original().subject()), (ISSUER, "s1"));
    assert_eq!(read.of_issuer("https://new.example.com").original().issuer(), "https://new.example.com");
    assert!(StoredGrant::from_text("{}").is_none());
    assert!(StoredGrant::of(&with(&"x".repeat(MAX_STORED_GRANT))).unwrap().to_text().is_none());
    assert!(grant.rotated(with("a secret").tokens()).is_none(), "it was not replaced");
    let rotated = grant.rotated(with("another").tokens()).unwrap();
    assert_eq!(rotated.refresh_token().expose(), "another");
}

/// A mapping that can refuse for each reason, and by several claims.
fn strict() -> MappingSpec {
    let team = |prefix: &str, unless: &[&str]| TeamSpec {
        prefix: Some(prefix.to_owned()),
        team: Some("{rest}".to_owned()),
        unless: unless.iter().map(|group| (*group).to_owned()).collect(),
        ..TeamSpec::default()
    };
    MappingSpec {
        username: OneOrMany::Many(vec!["preferred_username".to_owned(), "sub".to_owned()]),
        username_regex: Some("(a.*)".to_owned()),
        require_verified_email: true,
        profile: [("email".to_owned(), "email".to_owned()), ("name".to_owned(), "name".to_owned())].into(),
        groups: ["groups", "$.realm.roles[*]"].map(|path| GroupSpec::Path(path.to_owned())).into(),
        admin_groups: vec!["root".to_owned()],
        deny_unmatched: true,
        team: vec![team("t-", &[]), team("s-", &["guest"])],
        ..MappingSpec::default()
    }
}

fn by_groups_alone() -> MappingSpec {
    MappingSpec { groups: vec![GroupSpec::Path("groups".to_owned())], ..strict() }
}

/// What UserInfo without an ID token makes of a user, by a mapping.
fn followed(spec: &MappingSpec, claims: &Value, user: User) -> Result<RefreshPlan, &'static str> {
    let mapping = Mapping::compile(spec, &Limits::DEFAULT).unwrap();
    let mut all = claims.clone();
    all["sub"] = "s1".into();
    let (person, _) = RefreshedPerson::identify(&of_userinfo(&all).unwrap(), &mapping, &[])
        .map_err(|error| error.code())?;
    let policy = SignInPolicy { allow_admins: user.kind == UserKind::Admin, ..policy() };
    decide(Some(user), OWNER, &person, &["email", "name"], &policy).map_err(|error| error.code())
}

fn changes(spec: &MappingSpec, claims: &Value, user: User) -> Result<Vec<Change>, &'static str> {
    followed(spec, claims, user).map(|plan| plan.changes)
}

#[test]
fn without_an_id_token_what_a_value_of_userinfo_refuses_ends_the_session() {
    let one = by_groups_alone();
    for (claims, code) in [
        (json!({"groups": ["other"]}), "identity.no_team"),
        (json!({"groups": []}), "identity.no_team"),
        (json!({"groups": ["t-x"], "email_verified": false}), "identity.email_not_verified"),
        (json!({"groups": ["t-x"], "email_verified": "no"}), "identity.email_not_verified"),
        (json!({"groups": [7]}), "identity.group_type"),
        (json!({"groups": ["t-x"], "preferred_username": "eve"}), "identity.username_unmatched"),
        (json!({"groups": ["t-x"], "preferred_username": ["ada"]}), "identity.username_type"),
        (json!({"groups": ["t-x"], "preferred_username": " "}), "identity.username_unmatched"),
        (json!({"groups": ["t-x", "root"]}), "sign_in.admin"),
    ] {
        assert_eq!(changes(&one, &claims, ada()), Err(code), "{claims}");
    }
    let own = OneOrMany::One("email".to_owned());
    let by_email =
        MappingSpec { username: own, username_regex: None, require_verified_email: false, ..strict() };
    let unverified = json!({"email": "ada@example.com", "email_verified": false});
    assert_eq!(changes(&by_email, &unverified, ada()), Err("identity.email_not_verified"));
    let nested = MappingSpec { username: OneOrMany::One("$.person.login".to_owned()), ..one };
    let nameless = json!({"person": {}, "groups": ["t-x"]});
    assert_eq!(changes(&nested, &nameless, ada()), Err("identity.no_username"));
}

#[test]
fn without_an_id_token_an_absent_claim_refuses_nobody_and_takes_nothing_away() {
    for claims in [
        json!({}),
        json!({"groups": null, "realm": null, "email_verified": null, "preferred_username": null, "name": null}),
        json!({"email_verified": true}),
        json!({"groups": ["other"]}),
        json!({"realm": {"roles": []}}),
        json!({"hasgroups": true, "realm": {"roles": ["other"]}}),
    ] {
        let admin = User { kind: UserKind::Admin, ..ada() };
        assert_eq!(changes(&strict(), &claims, admin), Ok(vec![]), "{claims}");
    }
}

#[test]
fn without_an_id_token_what_userinfo_says_counts_without_the_username() {
    let claims = json!({"groups": ["t-support"], "realm": {"roles": ["s-desk"]}, "name": "Augusta"});
    let plan = followed(&strict(), &claims, ada()).unwrap();
    assert_eq!(teams(&plan), ["by hand", "desk", "support"]);
    assert_eq!((plan.user.username.as_str(), plan.user.profile["name"].as_str()), ("ada", "Augusta"));
    assert_eq!(plan.groups_state, GroupsState::Received);
    // Lists that the paths go into are there, and have nothing.
    let none = MappingSpec { deny_unmatched: false, ..strict() };
    let plan = followed(&none, &json!({"groups": [], "realm": {"roles": []}}), ada()).unwrap();
    assert_eq!(teams(&plan), ["by hand"]);
    // One of two group claims: it gives teams, but none that a group of the other excludes.
    let plan = followed(&strict(), &json!({"groups": ["t-support", "s-desk"]}), ada()).unwrap();
    assert_eq!(teams(&plan), ["by hand", "sales", "support"]);
    assert_eq!(plan.groups_state, GroupsState::Absent);
}

#[test]
fn without_an_id_token_the_groups_of_userinfo_decide_the_kind() {
    let admin = || User { kind: UserKind::Admin, ..ada() };
    let kind = |spec: &MappingSpec, claims: Value| followed(spec, &claims, admin()).unwrap().changed_kind();
    let lost = Some((UserKind::Admin, UserKind::Regular));
    assert_eq!(kind(&by_groups_alone(), json!({"groups": ["t-x"]})), lost);
    assert_eq!(kind(&by_groups_alone(), json!({"groups": ["t-x", "root"]})), None);
    assert_eq!(kind(&strict(), json!({"groups": ["t-x"], "realm": {"roles": []}})), lost);
    assert_eq!(kind(&strict(), json!({"groups": ["t-x"]})), None, "the roles are not known");
    let mapping = Mapping::compile(&strict(), &Limits::DEFAULT).unwrap();
    let claims = of_userinfo(&json!({"sub": "s1", "groups": ["root", "t-x"]})).unwrap();
    let (person, _) = RefreshedPerson::identify(&claims, &mapping, &[]).unwrap();
    let policy = SignInPolicy { allow_admins: true, ..policy() };
    let plan = decide(Some(ada()), OWNER, &person, &[], &policy).unwrap();
    assert_eq!(plan.changed_kind(), Some((UserKind::Regular, UserKind::Admin)), "one claim is enough");
}

#[test]
fn without_an_id_token_a_profile_field_is_emptied_only_by_a_claim_that_is_there() {
    let named = || {
        let mut user = ada();
        user.profile.insert("name".to_owned(), "Ada".to_owned());
        user
    };
    let after = |claims: Value| followed(&strict(), &claims, named()).unwrap().user.profile;
    assert_eq!(after(json!({"name": ""})).get("name"), None, "absent_empties");
    assert_eq!(after(json!({"name": null}))["name"], "Ada");
    let new = "new@example.com";
    assert_eq!(after(json!({"email": new}))["email"], "old@example.com", "it may not be verified");
    assert_eq!(after(json!({"email": new, "email_verified": true}))["email"], new);
}

#[test]
fn without_an_id_token_values_for_rules_are_replaced_by_those_that_userinfo_has() {
    let paths = ["acr", "department", "$.realm.roles[*]", "email", "hd"];
    let paths = paths.map(|path| ClaimPath::parse(path).unwrap());
    let before =
        json!({"acr": "mfa", "department": "sales", "realm": {"roles": ["a"]}, "email": "old", "hd": "x"});
    let before = KeptClaims::of(&before, &paths).0;
    let now =
        json!({"sub": "s1", "acr": "other", "department": "hr", "realm": {"roles": []}, "email": "new"});
    let mapping = Mapping::compile(&strict(), &Limits::DEFAULT).unwrap();
    let (person, left_out) =
        RefreshedPerson::identify(&of_userinfo(&now).unwrap(), &mapping, &paths).unwrap();
    assert!(left_out.is_empty());
    let plan = decide(Some(ada()), OWNER, &person, &[], &policy()).unwrap();
    assert!(plan.changes_anything(&before));
    let after = plan.kept.after(&before);
    for (path, values) in [
        ("acr", json!(["mfa"])),
        ("department", json!(["hr"])),
        ("$.realm.roles[*]", json!([])),
        ("email", json!(["old"])),
        ("hd", json!(["x"])),
    ] {
        assert_eq!(after.values(path).map(Value::from), Some(values), "{path}");
    }
    assert_eq!(plan.kept.after(&after), after, "the second changes nothing");
}

#[test]
fn values_for_rules_that_no_longer_fit_are_dropped() {
    let paths = ["a", "b", "c"].map(|path| ClaimPath::parse(path).unwrap());
    let long = "x".repeat(1_900);
    let before = KeptClaims::of(&json!({"a": long, "b": long, "c": "y"}), &paths).0;
    let now = json!({"sub": "s1", "preferred_username": "ada", "c": long});
    let (person, _) = RefreshedPerson::identify(&of_userinfo(&now).unwrap(), &mapping(), &paths).unwrap();
    let after = decide(Some(ada()), OWNER, &person, &[], &policy()).unwrap().kept.after(&before);
    let has = |path: &str| after.values(path).is_some_and(|values| !values.is_empty());
    assert_eq!(["a", "b", "c"].map(has), [true, false, true], "no condition on the second is met");
}
