//! `GET /callback/{provider}`: the way back.

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::server::{Server, respond, sign_in};

pub(super) async fn get(
    State(server): State<Server>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let app = server.app();
    let result = match app.provider(&name) {
        Ok(provider) => {
            sign_in::complete(&app, provider, query.as_deref().unwrap_or_default(), &headers).await
        }
        Err(problem) => Err(problem),
    };
    app.metrics().signed_in(result.as_ref().err().map_or("ok", |problem| problem.code()));
    match result {
        Ok(done) => respond::with_cookies(respond::go(&done.return_to), done.cookies),
        Err(problem) => problem.page(&app),
    }
}
