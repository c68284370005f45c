//! The decision of a sign-in by what a store holds, without a store: a model of the rules beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use claimgate::identity::{GroupsState, Identity, NameSource};
use claimgate::oidc::records::{NamedUser, Position, Version, View};
use claimgate::oidc::session::{NewSession, SessionId};
use claimgate::oidc::sign_in::{self, Account, AccountPlan, LinkByUsername, SignInError, SignInPolicy};
use claimgate::oidc::sync::{AbsentGroups, SyncPolicy};
use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};
use claimgate::time::UnixTime;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::provider::{NOW, NOW_MS, Op};
use super::sign_in::OPEN;

/// The profile fields of the mapping; `phone` is none of them.
const FIELDS: [&str; 2] = ["email", "name"];

fn texts(from: &'static [&'static str]) -> impl Strategy<Value = BTreeSet<String>> {
    subsequence(from, 0..=from.len()).prop_map(|chosen| chosen.into_iter().map(str::to_owned).collect())
}

fn profile(fields: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<String, String>> {
    (texts(fields), select(&["old", "new"][..]))
        .prop_map(|(fields, value)| fields.into_iter().map(|field| (field, value.to_owned())).collect())
}

prop_compose! {
    fn user(id: i64)(
        kind in select(&UserKind::ALL[..]),
        active in prop::bool::weighted(0.8),
        profile in profile(&["email", "name", "phone"]),
        mapped in texts(&["a", "b"]),
        by_hand in texts(&["c", "d"]),
    ) -> User {
        let teams = |teams: BTreeSet<String>, source| teams.into_iter().map(move |team| (team, source));
        let teams = teams(mapped, TeamSource::Mapping).chain(teams(by_hand, TeamSource::Hand)).collect();
        User { id: UserId(id), username: format!("user {id}"), kind: kind.1, active, profile, teams }
    }
}

fn view() -> impl Strategy<Value = View> {
    let by_link = prop::option::of((user(1), any::<i64>()));
    let by_name = prop::option::of((user(2), any::<i64>(), any::<bool>()));
    (by_link, by_name).prop_map(|(by_link, by_name)| View {
        by_link: by_link.map(|(user, version)| (user, Version(version))),
        by_name: by_name.map(|(user, version, is_linked)| NamedUser {
            user,
            version: Version(version),
            is_linked,
        }),
        newest_logout: None,
    })
}

fn name_source() -> impl Strategy<Value = NameSource> {
    use NameSource::{Claim, Subject, UnverifiedEmail, VerifiedEmail};
    select(&[Subject, VerifiedEmail, UnverifiedEmail, Claim][..])
}

fn groups_state() -> impl Strategy<Value = GroupsState> {
    let left_out = GroupsState::LeftOut { claim: "groups".to_owned(), marker: "_claim_names" };
    select(vec![GroupsState::Received, GroupsState::Absent, left_out])
}

prop_compose! {
    fn identity()(
        name_source in name_source(),
        profile in profile(&FIELDS),
        teams in texts(&["a", "b", "c"]),
        groups_state in groups_state(),
        is_admin in any::<Option<bool>>(),
    ) -> Identity {
        let teams = teams.into_iter().collect();
        let (username, groups) = ("ada".to_owned(), Vec::new());
        Identity { username, name_source, profile, groups, groups_state, is_admin, teams }
    }
}

prop_compose! {
    fn policy()(
        (create_users, allow_admins) in any::<(bool, bool)>(),
        link_by_username in select(&[LinkByUsername::Never, LinkByUsername::Vouched, LinkByUsername::Always][..]),
        (profile, teams, keep_hand_given_teams, absent_empties) in any::<(bool, bool, bool, bool)>(),
        absent_groups in select(&[AbsentGroups::Clear, AbsentGroups::Keep][..]),
    ) -> SignInPolicy {
        let sync = SyncPolicy { profile, teams, keep_hand_given_teams, absent_empties, absent_groups };
        SignInPolicy { create_users, allow_admins, link_by_username, sync, session_lifetime: Duration::from_secs(60) }
    }
}

/// Returns the kind that a sign-in makes of a user's.
fn kind_after(kind: UserKind, identity: &Identity, policy: &SignInPolicy) -> UserKind {
    let are_groups_known = match identity.groups_state {
        GroupsState::Received => true,
        GroupsState::Absent => policy.sync.absent_groups == AbsentGroups::Clear,
        GroupsState::LeftOut { .. } => false,
    };
    match identity.is_admin {
        Some(true) => UserKind::Admin,
        Some(false) if are_groups_known => UserKind::Regular,
        _ => kind,
    }
}

/// Returns the code of the refusal, or how the sign-in comes to its user.
fn expected(view: &View, identity: &Identity, policy: &SignInPolicy) -> &'static str {
    let admitted = |user: &User| match (user.kind, user.active) {
        (UserKind::Portal | UserKind::Api | UserKind::System, _) => Err("sign_in.kind"),
        (UserKind::SuperAdmin, _) => Err("sign_in.admin"),
        (UserKind::Admin, _) if !policy.allow_admins => Err("sign_in.admin"),
        (UserKind::Admin | UserKind::Regular, false) => Err("sign_in.inactive"),
        (UserKind::Admin | UserKind::Regular, true) => Ok(()),
    };
    let allowed = |user: &User, how| match kind_after(user.kind, identity, policy) {
        UserKind::Admin if !policy.allow_admins => "sign_in.admin",
        _ => how,
    };
    let is_vouched_for = matches!(identity.name_source, NameSource::Subject | NameSource::VerifiedEmail);
    let is_linkable = match policy.link_by_username {
        LinkByUsername::Never => false,
        LinkByUsername::Vouched => is_vouched_for,
        LinkByUsername::Always => true,
    };
    match (&view.by_link, &view.by_name) {
        (Some((user, _)), _) => admitted(user).err().unwrap_or_else(|| allowed(user, "linked")),
        (None, Some(found)) => match admitted(&found.user) {
            Err(code) => code,
            Ok(()) if found.is_linked => "sign_in.username_taken",
            Ok(()) if !is_linkable => "sign_in.not_linked",
            Ok(()) => allowed(&found.user, "unlinked"),
        },
        (None, None) if policy.create_users && identity.is_admin == Some(true) && !policy.allow_admins => {
            "sign_in.admin"
        }
        (None, None) if policy.create_users => "new",
        (None, None) => "sign_in.unknown",
    }
}

fn decided(result: &Result<AccountPlan, SignInError>) -> &'static str {
    match result {
        Err(error) => error.code(),
        Ok(AccountPlan { account: Account::Linked(..), .. }) => "linked",
        Ok(AccountPlan { account: Account::Unlinked(..), .. }) => "unlinked",
        Ok(AccountPlan { account: Account::New { .. }, .. }) => "new",
    }
}

/// Returns the users that a view holds.
fn before(view: &View) -> [Option<(User, Version)>; 2] {
    [view.by_link.clone(), view.by_name.clone().map(|found| (found.user, found.version))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_user_is_found_linked_created_or_refused_as_the_model_says(
        view in view(), identity in identity(), policy in policy(),
    ) {
        let expected = expected(&view, &identity, &policy);
        let [linked, named] = before(&view);
        let result = sign_in::decide_account(view, &identity, &FIELDS, &policy);
        prop_assert_eq!(decided(&result), expected);
        let Ok(plan) = result else { return Ok(()) };
        // The plan is of the user that the view holds, at the version that the view holds.
        let of = match (&plan.account, linked, named) {
            (Account::Linked(user, version), Some(of), _) | (Account::Unlinked(user, version), _, Some(of)) => {
                prop_assert_eq!((user.id, *version), (of.0.id, of.1));
                Some(of.0)
            }
            (Account::New { username, .. }, None, None) => {
                prop_assert_eq!(username, &identity.username);
                None
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        let signed_in = plan.into_signed_in(of.as_ref().map_or(UserId(7), |user| user.id));
        let user = &signed_in.user;
        prop_assert_eq!((signed_in.created, signed_in.linked), (of.is_none(), expected != "linked"));
        // Only kind, profile and teams change, and nothing that the list of changes does not say.
        let of = of.unwrap_or_else(|| User {
            id: UserId(7), username: identity.username.clone(), kind: UserKind::Regular, active: true,
            profile: BTreeMap::new(), teams: BTreeMap::new(),
        });
        prop_assert_eq!(user.kind, kind_after(of.kind, &identity, &policy));
        let is_unchanged = user.profile == of.profile && user.teams == of.teams && user.kind == of.kind;
        prop_assert_eq!(signed_in.changes.is_empty(), is_unchanged);
        let of = User { kind: user.kind, profile: user.profile.clone(), teams: user.teams.clone(), ..of };
        prop_assert_eq!(user, &of);
    }

    #[test]
    fn profile_and_teams_become_what_the_policy_says_and_a_second_sign_in_changes_nothing(
        user in user(1), identity in identity(), policy in policy(),
    ) {
        let user = User { kind: UserKind::Regular, active: true, ..user };
        let policy = SignInPolicy { allow_admins: true, ..policy };
        let view = |user| View { by_link: Some((user, Version(1))), by_name: None, newest_logout: None };
        let decide = |user: &User| {
            let plan = sign_in::decide_account(view(user.clone()), &identity, &FIELDS, &policy).unwrap();
            plan.into_signed_in(user.id)
        };
        let signed_in = decide(&user);
        let after = &signed_in.user;
        let sync = policy.sync;
        for field in ["email", "name", "phone"] {
            let is_mapped = sync.profile && field != "phone";
            let expected = match identity.profile.get(field) {
                Some(value) if is_mapped => Some(value),
                None if is_mapped && sync.absent_empties => None,
                _ => user.profile.get(field),
            };
            prop_assert_eq!(after.profile.get(field), expected, "{}", field);
        }
        let takes_away = match identity.groups_state {
            GroupsState::Received => true,
            GroupsState::Absent => sync.absent_groups == AbsentGroups::Clear,
            GroupsState::LeftOut { .. } => false,
        };
        for team in ["a", "b", "c", "d"] {
            let had = user.teams.get(team).copied();
            let is_given = identity.teams.iter().any(|given| given == team);
            let expected = match had {
                _ if !sync.teams => had,
                None => is_given.then_some(TeamSource::Mapping),
                Some(_) if is_given || !takes_away => had,
                Some(TeamSource::Hand) if sync.keep_hand_given_teams => had,
                Some(_) => None,
            };
            prop_assert_eq!(after.teams.get(team).copied(), expected, "{}", team);
        }
        prop_assert!(decide(after).changes.is_empty());
    }
}

proptest! {
    // Each case signs a token.
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sign_in_is_refused_if_a_logout_overtook_it_by_either_order_and_only_then(
        user in user(1),
        issued in -3_i64..=3,
        begun in -3_i64..=3,
        newest in prop::option::of((-3_i64..=3, -3_i64..=3)),
    ) {
        let op = Op::new();
        let claims = |claims: &mut serde_json::Value| claims["iat"] = json!(NOW + issued);
        let person = op.person(claims, NOW_MS + begun);
        let newest_logout = newest.map(|(at, position)| (UnixTime(NOW + at), Position(NOW_MS + position)));
        let user = User { kind: UserKind::Regular, active: true, ..user };
        let view = View { by_link: Some((user, Version(5))), by_name: None, newest_logout };
        let new = NewSession { id: SessionId([1; 16]), replaces: Some(SessionId([2; 16])) };
        let result = sign_in::decide(view, &person, &FIELDS, &OPEN, new);
        if newest.is_some_and(|(at, position)| issued <= at || begun <= position) {
            prop_assert_eq!(result, Err(SignInError::LoggedOut));
        } else {
            let plan = result.unwrap();
            prop_assert_eq!(plan.newest_logout, newest_logout);
            prop_assert_eq!((plan.session, plan.lifetime), (new, OPEN.session_lifetime));
            prop_assert_eq!(plan.origin.subject.as_str(), person.lookup().subject);
            prop_assert_eq!(plan.origin.issued_at, UnixTime(NOW + issued));
        }
    }

    #[test]
    fn a_logged_out_person_is_refused_before_anything_is_said_of_the_user(view in view(), policy in policy()) {
        let person = Op::new().person(|_| {}, NOW_MS);
        let view = View { newest_logout: Some((UnixTime(NOW), Position(0))), ..view };
        let new = NewSession { id: SessionId([1; 16]), replaces: None };
        let result = sign_in::decide(view, &person, &FIELDS, &policy, new);
        prop_assert_eq!(result, Err(SignInError::LoggedOut));
    }
}
