//! `/api/v1/users`: for administrators.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tracing::info;
use zeroize::Zeroizing;

use crate::system;
use crate::web::extract::{Admin, Body, ClientAddress, Current, Json, Path, Query};
use crate::web::problem::Problem;
use crate::web::{events, request_log, respond};
use claimgate::oidc::accounts::{self, UserChanges};
use claimgate::oidc::user::{UserId, UserKind};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
    let list = app.store.look(move |records| records.list_users(&page.after, limit).map_err(Problem::from));
    Ok(respond::document(json!({"users": list.await?})))
}

pub(super) async fn show(Current(app): Current, _: Admin, Path(id): Path<i64>) -> Result<Response, Problem> {
    let user = app.store.look(move |records| records.user(UserId(id)).map_err(Problem::from));
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
    ClientAddress(address): ClientAddress,
    admin: Admin,
    Json(new): Json<NewUser>,
) -> Result<Response, Problem> {
    let by = admin.rights()?;
    let mut user = accounts::NewUser::new(by, &new.username, app.config.normalise, new.kind)?;
    user.profile = new.profile;
    user.teams = new.teams;
    if let Some(password) = new.password {
        user.password_hash = Some(app.process.passwords.hash(password, address).await??);
    }
    let event = events::change(&admin, "user add").detail(&format!("kind {}", new.kind.name()));
    let add = admin.change(&app, move |records, by| {
        let user = accounts::add(records, by, user, system::now())?;
        let event = event.user(&user.username);
        Ok((user, event))
    });
    let user = add.await?;
    info!(
        client = request_log::fields().client,
        admin = admin.username(),
        program = admin.program(),
        user = user.username,
        "user created"
    );
    Ok(respond::created(json!(user)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    active: Option<bool>,
    kind: Option<UserKind>,
    profile: Option<BTreeMap<String, String>>,
    teams: Option<BTreeSet<String>>,
    /// Whether the change may leave no super-admin who can sign in.
    #[serde(default)]
    even_last_super_admin: bool,
}

impl Body for Changes {
    const EXPECTED: &'static str =
        "send changes as JSON: active, kind, profile, teams, even_last_super_admin";
}

pub(super) async fn change(
    Current(app): Current,
    admin: Admin,
    Path(id): Path<i64>,
    Json(changes): Json<Changes>,
) -> Result<Response, Problem> {
    let Changes { active, kind, profile, teams, even_last_super_admin } = changes;
    let changes = UserChanges { active, kind, profile, teams };
    let event = events::change(&admin, "user change").detail(&describe(&changes));
    let change = admin.change(&app, move |records, by| {
        let by = if even_last_super_admin { by.even_the_last_super_admin() } else { by };
        let changed = accounts::change(records, by, UserId(id), changes, system::now())?;
        let event = event.user(&changed.user.username);
        Ok((changed, event))
    });
    let user = change.await?.user;
    info!(
        client = request_log::fields().client,
        admin = admin.username(),
        program = admin.program(),
        user = user.username,
        active = user.active,
        "user changed"
    );
    Ok(respond::document(json!(user)))
}

/// Returns what changes change, for an event: of a profile, which is personal, only that it changes.
fn describe(changes: &UserChanges) -> String {
    let active = changes.active.map(|active| if active { "activated" } else { "deactivated" }.to_owned());
    let kind = changes.kind.map(|kind| format!("kind {}", kind.name()));
    let profile = changes.profile.as_ref().map(|_| "profile".to_owned());
    let names = |teams: &BTreeSet<String>| teams.iter().cloned().collect::<Vec<_>>().join(", ");
    let teams = changes.teams.as_ref().map(|teams| format!("teams: {}", names(teams)));
    [active, kind, profile, teams].into_iter().flatten().collect::<Vec<_>>().join("; ")
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
    ClientAddress(address): ClientAddress,
    admin: Admin,
    Path(id): Path<i64>,
    Json(new): Json<NewPassword>,
) -> Result<Response, Problem> {
    let hash = app.process.passwords.hash(new.password, address).await??;
    let event = events::change(&admin, "user passwd").user_id(UserId(id));
    let set = admin.change(&app, move |records, by| {
        let ended = accounts::set_password(records, by, UserId(id), &hash, system::now())?;
        Ok((ended, event))
    });
    set.await?;
    info!(
        client = request_log::fields().client,
        admin = admin.username(),
        program = admin.program(),
        user = id,
        "password set"
    );
    Ok(respond::empty())
}
