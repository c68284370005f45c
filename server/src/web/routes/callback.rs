//! `GET /callback/{provider}`: the provider's authorization response.

use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::extract::{Current, Path};
use crate::web::{respond, sign_in};
use claimgate::oidc::authorization::CallbackParameters;

pub(super) async fn get(
    Current(app): Current,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let parameters = CallbackParameters::parse(query.as_deref().unwrap_or_default());
    let pending = sign_in::pending(&app, &parameters, &headers);
    let return_to = pending.as_ref().map_or_else(|_| String::new(), |pending| pending.return_to().to_owned());
    let result = match (app.provider(&name), pending) {
        (Ok(provider), Ok(pending)) => {
            sign_in::complete(&app, provider, pending, &parameters, &headers).await
        }
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    };
    app.metrics().signed_in(result.as_ref().err().map_or("ok", |problem| problem.code()));
    match result {
        Ok(completed) => respond::with_cookies(respond::see_other(&completed.return_to), completed.cookies),
        Err(problem) => problem.page_returning(&app, &return_to),
    }
}
