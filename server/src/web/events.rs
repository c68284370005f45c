//! What is recorded of requests: refusals and logouts through the buffer, sign-ins and changes by their transactions.

use tracing::error;

use super::app::App;
use super::extract::Admin;
use super::problem::{AccessReason, Problem};
use super::provider::Provider;
use super::request_log::{self, Fields};
use crate::store::{Event, EventKind, LoggedOut};
use claimgate::oidc::records::LogoutTarget;
use claimgate::oidc::session::Origin;
use claimgate::text::for_display;

/// Returns the event of a sign-in by the request at hand, without its user; `None` if events are not recorded.
pub(crate) fn sign_in(app: &App, way: &'static str) -> Option<Event> {
    app.config.events.enabled.then(|| Event::new(EventKind::SignIn, way).client(request_log::client()))
}

/// Notes that the sign-in of the request at hand was refused, or failed.
pub(crate) fn refused(app: &App, problem: &Problem) {
    // A provider that the file does not have is a stranger's text.
    if !app.config.events.enabled || matches!(problem, Problem::NotFound) {
        return;
    }
    let (Fields { user, provider, .. }, client) = (request_log::fields(), request_log::client());
    let mut event = Event::new(EventKind::Refusal, problem.code()).client(client);
    if let Some(user) = user {
        event = event.user(&user);
    }
    if let Some(provider) = provider.filter(|id| app.provider(id).is_ok()) {
        event = event.provider(&provider);
    }
    app.process.events.add_refusal(event, client);
}

/// Notes that forward-auth refused the request at hand to a user, or to a bearer token. `address` returns the
/// application's.
pub(crate) fn not_admitted(app: &App, problem: &Problem, address: impl FnOnce() -> String) {
    if !app.config.events.enabled {
        return;
    }
    let client = request_log::client();
    let event = Event::new(EventKind::AccessRefusal, problem.code()).client(client);
    let event = match problem {
        // The person is asked to sign in again.
        Problem::Access(refusal) if refusal.reason.authentication().is_some() => return,
        Problem::Access(refusal) => {
            let event = refusal.user.iter().fold(event, |event, user| event.user(user));
            let event = refusal.rule.iter().fold(event, |event, rule| event.rule(rule));
            let event = match &refusal.reason {
                AccessReason::Ambiguous(_, ambiguity) => event.detail(&ambiguity.to_string()),
                _ => event,
            };
            let of_client = refusal.token_client.iter();
            of_client.fold(event, |event, client| event.detail(&format!("client {client}")))
        }
        Problem::BearerToken(reason) => event.detail(reason),
        // A request without a session is no refusal of a person.
        _ => return,
    };
    app.process.events.add_refusal(event.application(origin_of(&address())), client);
}

/// Returns an address without its path.
fn origin_of(address: &str) -> &str {
    let host = address.find("://").map_or(0, |scheme| scheme + 3);
    let end = address[host..].find(['/', '?', '#']).map_or(address.len(), |path| host + path);
    &address[..end]
}

/// Notes that a person has signed out by the request at hand.
pub(crate) fn signed_out(app: &App, user: &str, provider: Option<&str>, origin: &Origin) {
    if !app.config.events.enabled {
        return;
    }
    app.process.events.add(EventKind::Logout, || {
        let event = Event::new(EventKind::Logout, "sign_out").client(request_log::client()).user(user);
        let event = provider.into_iter().fold(event, Event::provider);
        match origin {
            Origin::Oidc(origin) => event.subject(&origin.subject),
            Origin::Password => event,
        }
    });
}

/// Returns the subject and the `sid` that a logout names, escaped and cut for the log.
pub(crate) fn names_of(target: &LogoutTarget) -> (Option<String>, Option<String>) {
    match target {
        LogoutTarget::Session { sid, subject } => {
            (subject.as_deref().map(for_display), Some(for_display(sid)))
        }
        LogoutTarget::Subject(subject) => (Some(for_display(subject)), None),
    }
}

/// Notes a logout by a provider under one of its issuers. The channel is `back_channel`, `front_channel` or
/// `security_event`, with a detail that may be empty.
pub(crate) fn logged_out(
    app: &App,
    (provider, issuer): (&Provider, &str),
    (channel, detail): (&'static str, &str),
    logout: &LoggedOut,
) {
    if !app.config.events.enabled {
        return;
    }
    let event = || {
        let event = Event::new(EventKind::Logout, channel).client(request_log::client());
        event.provider(&provider.config.id).detail(detail)
    };
    let Some(target) = &logout.ended.target else {
        let event = if detail.is_empty() { event().detail("no session ended") } else { event() };
        return app.process.events.add_logout_without_effect(event);
    };
    app.process.events.add(EventKind::Logout, || match target {
        LogoutTarget::Subject(subject) | LogoutTarget::Session { subject: Some(subject), .. } => {
            event().subject_of(issuer, subject)
        }
        // The user is named, so that the event can be taken out with the user.
        LogoutTarget::Session { sid, subject: None } => {
            let event = event().detail(format!("{detail} sid {sid}").trim_start());
            logout.owner.into_iter().fold(event, Event::user_id)
        }
    });
}

/// Records that an administrator opens a session of the administration. It opens only once that is in the store.
///
/// # Errors
/// [`Problem::Store`].
pub(crate) async fn administration_opened(app: &App, user: &str) -> Result<(), Problem> {
    if !app.config.events.enabled {
        return Ok(());
    }
    let event = Event::new(EventKind::SignIn, "administration").client(request_log::client()).user(user);
    Ok(app.store.record_events(vec![event]).await?)
}

/// Returns the event of a change that an administrator, or a program, makes by the request at hand.
pub(super) fn change(admin: &Admin, action: &'static str) -> Event {
    let by = match admin.program() {
        Some(client) => format!("(program {client})"),
        None => admin.username().unwrap_or_default().to_owned(),
    };
    Event::new(EventKind::Administration, action).client(request_log::client()).by(&by)
}

/// Records the events that wait, after those that are being recorded. Those that cannot be recorded are counted and lost.
pub(crate) async fn flush(app: &App) {
    let _turn = app.process.events.turn().await;
    let (events, dropped) = app.process.events.take();
    app.metrics().dropped_events(dropped);
    if events.is_empty() {
        return;
    }
    let lost = u64::try_from(events.len()).unwrap_or(u64::MAX);
    match app.store.record_events(events).await {
        Ok(()) => drop(app.process.events.note_failure(false)),
        Err(error) => {
            app.metrics().dropped_events(lost);
            if !app.process.events.note_failure(true) {
                error!(%error, "events cannot be recorded");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use claimgate::oidc::records::StoreError;

    use super::*;
    use crate::store::{EventQuery, SqliteRecords, SqliteStore};
    use crate::web::app::tests::server;

    /// The periodic flush ends with the server: the last one waits for it.
    #[tokio::test]
    async fn the_last_events_are_recorded_after_those_that_are_being_recorded() {
        let store = SqliteStore::in_memory().expect("a store");
        let app = server(&store).app();
        let (begin, begun) = channel();
        let (release, released) = channel::<()>();
        let hold = move |_: &mut SqliteRecords<'_>| -> Result<(), StoreError> {
            begin.send(()).expect("it is waited for");
            // An error is the release, too.
            let _ = released.recv();
            Ok(())
        };
        let held = store.clone();
        let held = std::thread::spawn(move || held.transact_blocking(hold));
        begun.recv().expect("the store is held");
        app.process.events.add_refusal(Event::new(EventKind::Refusal, "test"), None);
        let periodic = tokio::spawn({
            let app = Arc::clone(&app);
            async move { flush(&app).await }
        });
        tokio::task::yield_now().await;
        let mut last = Box::pin(flush(&app));
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(last.as_mut().poll(context))).await;
        assert!(polled.is_pending(), "nothing waits, and the one before it is not recorded");
        drop(release);
        last.await;
        let query = EventQuery { limit: 10, ..EventQuery::default() };
        assert_eq!(app.store.list_events(query).await.expect("a store").len(), 1);
        periodic.await.expect("ends");
        held.join().expect("a thread").expect("nothing fails");
    }

    #[test]
    fn an_application_is_named_without_its_path() {
        for (address, origin) in [
            ("https://wiki.example.com/a/b", "https://wiki.example.com"),
            ("https://wiki.example.com", "https://wiki.example.com"),
            ("https://wiki.example.com?token=1", "https://wiki.example.com"),
            ("/a", ""),
        ] {
            assert_eq!(origin_of(address), origin);
        }
    }
}
