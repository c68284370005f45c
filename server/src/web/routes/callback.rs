//! `GET /callback/{provider}`: the way back.

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::{Server, respond, sign_in};

pub(super) async fn get(
    State(server): State<Server>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let app = server.app();
    let query = query.as_deref().unwrap_or_default();
    let pending = sign_in::under_way(&app, query, &headers);
    let way_back = pending.as_ref().map_or_else(|_| String::new(), |login| login.return_to().to_owned());
    let result = match (app.provider(&name), pending) {
        (Ok(provider), Ok(pending)) => sign_in::complete(&app, provider, pending, query, &headers).await,
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    };
    app.metrics().signed_in(result.as_ref().err().map_or("ok", |problem| problem.code()));
    match result {
        Ok(done) => respond::with_cookies(respond::go(&done.return_to), done.cookies),
        Err(problem) => problem.page_with_way_back(&app, &way_back),
    }
}
