//! A service on axum: tokens of a provider, a guard by scope, optional authentication, back-channel logout.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use claimgate_tower::claimgate::claims::{AccessToken, Policy};
use claimgate_tower::{BearerLayer, Logouts, Principal, RemoteVerifier, Require, Verified};

use crate::Failure;
use crate::sqlite_logouts::SqliteLogouts;

/// The claims that the service reads.
#[derive(serde::Deserialize)]
struct User {
    sub: String,
}

async fn me(Verified(user): Verified<User>) -> String {
    user.sub
}

async fn greet(user: Option<Verified<User>>) -> String {
    user.map_or_else(|| "hello, stranger".to_owned(), |Verified(user)| format!("hello, {}", user.sub))
}

async fn scopes(Verified(principal): Verified<Principal>) -> String {
    principal.scopes().collect::<Vec<_>>().join(" ")
}

/// Builds the service. `client` is the identifier at the provider that logout tokens are for.
///
/// # Errors
/// If the database cannot be opened or read.
pub async fn app(
    tokens: &RemoteVerifier<AccessToken>,
    client: &str,
    database: &str,
) -> Result<Router, Failure> {
    // No access token of the provider lives longer than an hour.
    let logouts = Logouts::new(SqliteLogouts::open(database).await?, Duration::from_secs(3600));
    let logout_tokens = tokens.with_policy(Policy::logout_token(tokens.issuer(), client))?;
    let bearer = BearerLayer::new(tokens.clone()).logouts(&logouts);

    let protected = Router::new()
        .route("/me", get(me))
        .route("/orders", get(scopes).route_layer(Require::scope("orders:read")))
        .layer(bearer.clone());
    let open = Router::new().route("/", get(greet)).layer(bearer.optional());
    Ok(protected.merge(open).route_service("/backchannel-logout", logouts.endpoint(logout_tokens)))
}
