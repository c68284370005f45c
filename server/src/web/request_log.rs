//! The facts about a request that its log lines share: where it came from, and who asked.
//!
//! Handlers note what they learn; the line that reports the result has all of it. The reference joins the
//! lines of one request with one another and with the response that shows it.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;

use super::limiter::{Refusal, RefusalLimit};
use crate::system;
use axum::http::HeaderValue;
use claimgate::text::for_display;

tokio::task_local! { static REQUEST: Request; }

/// The facts about the request at hand.
struct Request {
    client: IpAddr,
    host: Option<HeaderValue>,
    refusals: Arc<RefusalLimit>,
    reference: OnceCell<String>,
    noted: RefCell<Noted>,
    /// Whether it was refused after so many others of its client that it is not logged.
    excessive: Cell<bool>,
}

/// The facts that handlers learn.
#[derive(Clone, Default)]
struct Noted {
    user: Option<String>,
    provider: Option<String>,
    unverified_error: Option<String>,
    found: Option<String>,
}

/// The fields of a log line about the request at hand; absent where unknown.
#[derive(Default)]
pub(crate) struct Fields {
    /// The client's address, behind the proxies that the configuration trusts.
    pub(crate) client: Option<String>,
    /// `Host`: the client's own text.
    pub(crate) host: Option<String>,
    /// The user who asks, or the username that was tried.
    pub(crate) user: Option<String>,
    /// The provider that the request is about.
    pub(crate) provider: Option<String>,
    /// The `error` of a callback that belongs to no sign-in: the text of the writer of its address.
    pub(crate) unverified_error: Option<String>,
    /// What was found in place of what is accepted.
    pub(crate) found: Option<String>,
}

/// Runs the handling of a request; within it, [`fields`] are those of the request.
pub(crate) async fn about<F: Future>(
    client: IpAddr,
    host: Option<HeaderValue>,
    refusals: Arc<RefusalLimit>,
    handling: F,
) -> F::Output {
    let request = Request {
        client,
        host,
        refusals,
        reference: OnceCell::new(),
        noted: RefCell::default(),
        excessive: Cell::new(false),
    };
    REQUEST.scope(request, handling).await
}

/// Notes the user who asks, or the username that was tried.
pub(crate) fn note_user(user: &str) {
    note(|noted| noted.user = Some(for_display(user)));
}

/// Notes the provider that the request is about.
pub(crate) fn note_provider(provider: &str) {
    note(|noted| noted.provider = Some(for_display(provider)));
}

/// Notes the `error` of a callback that belongs to no sign-in.
pub(crate) fn note_unverified_error(error: &str) {
    note(|noted| noted.unverified_error = Some(for_display(error)));
}

/// Notes what was found in place of what is accepted.
pub(crate) fn note_found(found: &str) {
    note(|noted| noted.found = Some(for_display(found)));
}

fn note(change: impl FnOnce(&mut Noted)) {
    let _ = REQUEST.try_with(|request| change(&mut request.noted.borrow_mut()));
}

/// Reports whether a refusal of the request at hand is to be logged: strangers cause as many as they like.
pub(crate) fn may_report(kind: Refusal) -> bool {
    let may_log = |request: &Request| {
        let may_log = request.refusals.may_log(request.client, kind);
        request.excessive.set(!may_log);
        may_log
    };
    REQUEST.try_with(may_log).unwrap_or(true)
}

/// Reports whether the request at hand was refused after so many others of its client that it is not logged.
pub(crate) fn is_excessive() -> bool {
    REQUEST.try_with(|request| request.excessive.get()).unwrap_or(false)
}

/// Returns the client's address of the request at hand, behind the proxies that the configuration trusts.
pub(crate) fn client() -> Option<IpAddr> {
    REQUEST.try_with(|request| request.client).ok()
}

/// Returns the fields of the request at hand.
pub(crate) fn fields() -> Fields {
    let within = REQUEST.try_with(|request| {
        let Noted { user, provider, unverified_error, found } = request.noted.borrow().clone();
        Fields {
            client: Some(request.client.to_string()),
            host: request.host.as_ref().map(|host| for_display(&String::from_utf8_lossy(host.as_bytes()))),
            user,
            provider,
            unverified_error,
            found,
        }
    });
    within.unwrap_or_default()
}

/// Returns the reference of the request at hand.
pub(crate) fn reference() -> String {
    REQUEST
        .try_with(|request| request.reference.get_or_init(new_reference).clone())
        .unwrap_or_else(|_| new_reference())
}

fn new_reference() -> String {
    let mut bytes = [0; 6];
    system::random(&mut bytes);
    claimgate::base64url::encode(&bytes)
}
