//! `/.well-known/jwks.json`: the keys of assertions, for the applications that verify them.

use axum::response::Response;

use crate::system;
use crate::web::extract::Current;
use crate::web::problem::Problem;
use crate::web::respond;
use claimgate::access::Application;

/// Answers with the JWK set; 404 if no application gets assertions.
pub(super) async fn get(Current(app): Current) -> Result<Response, Problem> {
    if !app.config.applications.iter().any(Application::gets_assertions) {
        return Err(Problem::NotFound);
    }
    let keys = app.process.assertions.published(&app.store, system::now()).await?;
    Ok(respond::asset("application/jwk-set+json", keys.to_string()))
}
