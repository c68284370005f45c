//! What a request asks; where it cannot be read, a problem in our own form.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;

use crate::web::respond::Problem;

/// An extractor of axum's, with our own refusal in the place of its.
pub(super) struct Asked<E>(pub(super) E);

impl<S: Send + Sync, E: FromRequestParts<S>> FromRequestParts<S> for Asked<E> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let extracted = E::from_request_parts(parts, state).await;
        extracted.map(Self).map_err(|_| Problem::BadRequest("a part of the address cannot be read"))
    }
}

/// Whether somebody is to read the answer: programs ask for anything, or for nothing.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
