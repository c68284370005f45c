//! The decision on a session whose tokens were refreshed.

use claimgate::identity::GroupsState;
use claimgate::oidc::Response;
use claimgate::oidc::authorization::AuthorizationOptions;
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::refresh::{MAX_STORED_GRANT, OriginalIdToken, StoredGrant};
use claimgate::oidc::session_refresh::{RefreshPlan, RefreshedClaims, RefreshedPerson, decide};
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
    let plan = decided(&RefreshedClaims::none(), Some(ada())).unwrap();
    assert_eq!((plan.changes, plan.kept), (vec![], None));
    let silent = of_userinfo(&json!({"sub": "s1", "preferred_username": "ada"})).unwrap();
    assert_eq!(decided(&silent, Some(ada())).unwrap().changes, []);
    let nameless = of_userinfo(&json!({"sub": "s1", "groups": []})).unwrap();
    assert!(!nameless.is_whole());
    assert_eq!(decided(&nameless, Some(ada())).unwrap().changes, [], "the mapping finds no username");
    let moved = json!({"sub": "s1", "preferred_username": "ada", "groups": ["t-support"]});
    assert_eq!(teams(&decided(&of_userinfo(&moved).unwrap(), Some(ada())).unwrap()), ["by hand", "support"]);
    assert_eq!(of_userinfo(&json!({"sub": "s2"})).map(drop), Err("userinfo.subject"));
}

#[test]
fn whoever_would_not_be_admitted_again_is_signed_out() {
    let claims = whole(&json!({}), &json!({"groups": ["t-sales"]}));
    let inactive = User { active: false, ..ada() };
    assert_eq!(decided(&claims, Some(inactive.clone())), Err("sign_in.inactive"));
    assert_eq!(decided(&RefreshedClaims::none(), Some(inactive)), Err("sign_in.inactive"));
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
        decide(Some(ada()), OWNER, &person, &["email"], &policy()).unwrap().kept.unwrap()
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
