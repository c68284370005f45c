//! `/api/v1/users`: for administrators.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tracing::info;
use zeroize::Zeroizing;

use crate::system;
use crate::web::extract::{Admin, Body, Current, Json, Path, Query, SameOrigin};
use crate::web::problem::Problem;
use crate::web::respond;
use claimgate::identity::check_username;
use claimgate::oidc::records::{Records, StoreError};
use claimgate::oidc::user::{TeamSource, User, UserId, UserKind};

#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    after: String,
    limit: Option<u32>,
}

pub(super) async fn list(
    Current(app): Current,
    _: Admin,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let limit = page.limit.unwrap_or(100).min(1000);
    let list =
        app.store.transact(move |records| records.list_users(&page.after, limit).map_err(Problem::from));
    Ok(respond::document(json!({"users": list.await?})))
}

pub(super) async fn show(Current(app): Current, _: Admin, Path(id): Path<i64>) -> Result<Response, Problem> {
    let user = app.store.transact(move |records| records.user(UserId(id)).map_err(Problem::from));
    Ok(respond::document(json!(user.await?.ok_or(Problem::NotFound)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    username: String,
    #[serde(default)]
    kind: UserKind,
    password: Option<Zeroizing<String>>,
    #[serde(default)]
    profile: BTreeMap<String, String>,
    #[serde(default)]
    teams: BTreeSet<String>,
}

impl Body for NewUser {
    const EXPECTED: &'static str = "send a user as JSON: username, kind, password, profile, teams";
}

pub(super) async fn create(
    Current(app): Current,
    Admin(admin): Admin,
    _: SameOrigin,
    Json(new): Json<NewUser>,
) -> Result<Response, Problem> {
    may_change(admin.kind, new.kind)?;
    if check_username(&new.username).is_err() {
        return Err(Problem::BadRequest(
            "a username has 1 to 255 characters, none of them a control or invisible",
        ));
    }
    let hash = match new.password {
        Some(password) => Some(app.process.passwords.hash(password).await?),
        None => None,
    };
    let make = app.store.transact(move |records| -> Result<User, Problem> {
        if records.user_by_name(&new.username)?.is_some() {
            return Err(Problem::Taken);
        }
        let now = system::now();
        let mut user = records.create_user(&new.username, new.kind, now)?;
        user.profile = new.profile;
        user.teams = by_hand(&BTreeMap::new(), new.teams);
        records.update_user(&user, now)?;
        if let Some(hash) = hash {
            records.set_password(user.id, &hash, now)?;
        }
        Ok(user)
    });
    let user = make.await?;
    info!(admin = admin.username, user = user.username, "user created");
    Ok(respond::created(json!(user)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    active: Option<bool>,
    kind: Option<UserKind>,
    profile: Option<BTreeMap<String, String>>,
    teams: Option<BTreeSet<String>>,
}

impl Body for Changes {
    const EXPECTED: &'static str = "send changes as JSON: active, kind, profile, teams";
}

pub(super) async fn change(
    Current(app): Current,
    Admin(admin): Admin,
    _: SameOrigin,
    Path(id): Path<i64>,
    Json(changes): Json<Changes>,
) -> Result<Response, Problem> {
    let kind = admin.kind;
    let apply = app.store.transact(move |records| -> Result<User, Problem> {
        let mut user = records.user(UserId(id))?.ok_or(Problem::NotFound)?;
        may_change(kind, user.kind)?;
        if let Some(wanted) = changes.kind {
            may_change(kind, wanted)?;
            user.kind = wanted;
        }
        user.active = changes.active.unwrap_or(user.active);
        user.profile = changes.profile.unwrap_or(user.profile);
        if let Some(teams) = changes.teams {
            user.teams = by_hand(&user.teams, teams);
        }
        records.update_user(&user, system::now())?;
        if !user.active {
            records.end_sessions_of(user.id)?;
        }
        Ok(user)
    });
    let user = apply.await?;
    info!(admin = admin.username, user = user.username, active = user.active, "user changed");
    Ok(respond::document(json!(user)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: Zeroizing<String>,
}

impl Body for NewPassword {
    const EXPECTED: &'static str = "send {\"password\": …} as JSON";
}

/// Sets a password; every session of the user ends.
pub(super) async fn set_password(
    Current(app): Current,
    Admin(admin): Admin,
    _: SameOrigin,
    Path(id): Path<i64>,
    Json(new): Json<NewPassword>,
) -> Result<Response, Problem> {
    let hash = app.process.passwords.hash(new.password).await?;
    let kind = admin.kind;
    let set = app.store.transact(move |records| -> Result<(), Problem> {
        let user = records.user(UserId(id))?.ok_or(Problem::NotFound)?;
        may_change(kind, user.kind)?;
        records.set_password(user.id, &hash, system::now())?;
        records.end_sessions_of(user.id).map(drop).map_err(|error: StoreError| error.into())
    });
    set.await?;
    info!(admin = admin.username, user = id, "password set");
    Ok(respond::empty())
}

/// Super-admins are changed, and made, by super-admins alone.
pub(super) fn may_change(admin: UserKind, user: UserKind) -> Result<(), Problem> {
    if user == UserKind::SuperAdmin && admin != UserKind::SuperAdmin {
        return Err(Problem::Forbidden);
    }
    Ok(())
}

/// The teams that an administrator wants: those that the mapping gave stay its own.
fn by_hand(before: &BTreeMap<String, TeamSource>, teams: BTreeSet<String>) -> BTreeMap<String, TeamSource> {
    let source = |team: &String| before.get(team).copied().unwrap_or(TeamSource::Hand);
    teams.into_iter().map(|team| (team.clone(), source(&team))).collect()
}
