//! Sessions that follow their provider: their tokens are refreshed at an interval. Refreshes that are due are claimed from
//! the store in small batches, one for each free place at the provider, so that several servers share them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, info, warn};

use super::app::{App, Server};
use super::provider::Provider;
use super::refresh_places::Places;
use super::session_refresh::{Failure, ask, event};
use crate::store::{DueRefresh, KIND_CHANGED, NewRefresh, Refreshed};
use crate::system;
use claimgate::oidc::id_token::ValidatedIdToken;
use claimgate::oidc::refresh::StoredGrant;
use claimgate::oidc::session_refresh::RefreshPlan;

/// Interval between checks for refreshes that are due.
const CHECK: Duration = Duration::from_secs(1);
/// The time after which a session is refreshed whose provider did not answer, unless the interval is shorter.
const RETRY: Duration = Duration::from_secs(30);
/// Refreshes are due up to one part in so many of the interval earlier, at random, so that sessions that were opened at
/// one time are not refreshed at one time.
const SPREAD: u32 = 10;

/// Returns a time up to a tenth shorter, at random.
fn spread(interval: Duration) -> Duration {
    let mut random = [0; 2];
    system::random(&mut random);
    let part = u32::from(u16::from_ne_bytes(random));
    interval.saturating_sub(interval / SPREAD * part / u32::from(u16::MAX))
}

/// Returns the grant to keep with the session of a sign-in, if the provider's sessions are refreshed and it issued a
/// refresh token.
pub(super) fn grant_of(app: &App, provider: &Provider, id_token: &ValidatedIdToken) -> Option<NewRefresh> {
    let after = spread(provider.config.refresh.interval?);
    let id = &provider.config.id;
    let grant = StoredGrant::of(id_token);
    let (code, missing) = match &grant {
        None => {
            ("none", "the provider issued no refresh token: the session does not follow it until it ends")
        }
        Some(grant) if grant.to_text().is_none() => {
            ("length", "the refresh token is too long to keep: the session does not follow the provider")
        }
        Some(_) => return grant.map(|grant| NewRefresh { provider: id.clone(), grant, after }),
    };
    if let Some(sessions) = app.process.refreshes.at(id).lines.count(code, Instant::now()) {
        warn!(provider = id, sessions, "{missing}");
    }
    None
}

/// Refreshes sessions, for as long as the server runs.
pub(super) async fn run(server: Server) {
    let wake = Arc::clone(&server.app().process.refreshes.wake);
    let mut failing = false;
    loop {
        // A wait that ends early is no error.
        let _ = tokio::time::timeout(CHECK, wake.notified()).await;
        let (app, mut fault) = (server.app(), None);
        for provider in app.providers.iter().filter(|provider| provider.config.refresh.interval.is_some()) {
            if app.process.refreshes.is_finishing() {
                return;
            }
            fault = begin(&app, provider).await.err().or(fault);
        }
        if let Some(error) = fault.as_ref().filter(|_| !failing) {
            warn!(%error, "refreshes of sessions that are due cannot be read: sessions do not follow their providers");
        }
        failing = fault.is_some();
    }
}

/// Begins refreshes at a provider that are due, one for each free place.
async fn begin(app: &Arc<App>, provider: &Arc<Provider>) -> Result<(), claimgate::oidc::records::StoreError> {
    let places = app.process.refreshes.at(&provider.config.id);
    let Some(mut taken) = places.take() else { return Ok(()) };
    let most = u32::try_from(taken.num_permits()).unwrap_or(u32::MAX);
    let due = app.store.claim_refreshes(&provider.config.id, most).await?;
    places.note_more(due.len() == taken.num_permits());
    for due in due {
        let Some(place) = taken.split(1) else { break };
        let (app, provider, places) = (Arc::clone(app), Arc::clone(provider), Arc::clone(&places));
        // A task of its own, which a reload does not end: an answer may hold a new refresh token.
        tokio::spawn(async move { refresh(&app, &provider, due, (&places, place)).await });
    }
    Ok(())
}

/// Refreshes a session, and notes the outcome.
async fn refresh(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    mut due: DueRefresh,
    (places, place): (&Places, OwnedSemaphorePermit),
) {
    let id = &provider.config.id;
    let interval = provider.config.refresh.interval.unwrap_or(RETRY);
    let outcome = match ask(app, provider, &mut due).await {
        Ok(judgement) => {
            let done = app.store.complete_refresh(&due, Arc::new(judgement), spread(interval)).await;
            conclude(provider, &due, places, done)
        }
        Err(Failure::Ends(reason)) => {
            let subject = due.grant.as_ref().map(|grant| grant.original().subject().to_owned());
            let event = event(app, provider);
            let event =
                event.map(|event| subject.iter().fold(event, |event, subject| event.subject(subject)));
            let done = app.store.end_refreshed(&due, reason, event).await;
            conclude(provider, &due, places, done)
        }
        Err(Failure::Gone) => "gone",
        Err(Failure::Store(reason)) => note(places, id, ("store", &reason)),
        Err(Failure::Unreachable(reason)) => {
            put_off(app, &due, spread(RETRY.min(interval))).await;
            note(places, id, ("unreachable", &reason))
        }
        Err(Failure::Refused(code, reason)) => {
            put_off(app, &due, spread(interval)).await;
            note(places, id, (code, &reason));
            "refused"
        }
    };
    app.metrics().refreshed(id, outcome);
    places.give_back(place, outcome != "unreachable");
}

/// Sets the time of the next attempt. If that fails, the refresh is due again when the claim ends.
async fn put_off(app: &App, due: &DueRefresh, after: Duration) {
    if let Err(error) = app.store.put_off_refresh(due, after).await {
        debug!(%error, session = %due.session, "a refresh cannot be put off");
    }
}

/// Logs a failure that the session outlives: the first of a kind, and then how many within a minute.
fn note(places: &Places, provider: &str, (code, reason): (&'static str, &str)) -> &'static str {
    if let Some(sessions) = places.lines.count(code, Instant::now()) {
        warn!(
            provider,
            sessions,
            code,
            reason,
            "sessions could not be refreshed: they go on as they are, and are refreshed later"
        );
    }
    code
}

/// Logs what has become of a session. Returns the outcome.
fn conclude(
    provider: &Provider,
    due: &DueRefresh,
    places: &Places,
    done: Result<Refreshed, claimgate::oidc::records::StoreError>,
) -> &'static str {
    let (provider, session) = (&provider.config.id, due.session);
    match done {
        Ok(Refreshed::Kept(plan)) => {
            let RefreshPlan { user, changes, .. } = *plan;
            for change in &changes {
                debug!(provider, user = user.username, %change, "sync by a refresh");
            }
            match changes.len() {
                0 => debug!(provider, user = user.username, %session, "refreshed"),
                changes => info!(provider, user = user.username, %session, changes, "refreshed"),
            }
            "refreshed"
        }
        Ok(Refreshed::Ended { username: user, reason }) if reason == KIND_CHANGED => {
            info!(provider, user, %session, "the groups of a refresh changed the kind of a user: the sessions of before ended");
            "ended"
        }
        Ok(Refreshed::Ended { username: user, reason }) => {
            info!(provider, user, %session, reason, "the session ended at its refresh");
            "ended"
        }
        Ok(Refreshed::Gone) => "gone",
        Err(error) => note(places, provider, ("store", &error.to_string())),
    }
}

/// Deletes the grants that no setting of the newest configuration uses.
pub(super) async fn forget_unused(app: &App) {
    match app.store.forget_grants_but(app.process.refreshes.providers()).await {
        Ok(0) => {}
        Ok(deleted) => info!(deleted, "deleted refresh tokens of providers without refresh_interval"),
        Err(error) => {
            warn!(%error, "refresh tokens of providers without refresh_interval could not be deleted")
        }
    }
}

/// Deletes the grant of a sign-in that was under way while a reload took `refresh_interval` away from its provider: the
/// grant may have been kept after the reload had deleted the others.
pub(super) async fn forget_late(app: &App, provider: &Provider) {
    if !app.process.refreshes.are_at(&provider.config.id) {
        forget_unused(app).await;
    }
}

/// Lets no further refresh begin.
pub(super) fn stop(app: &App) {
    app.process.refreshes.stop();
}

/// Waits for the refreshes under way after [`stop`].
pub(super) async fn finish(app: &App) {
    app.process.refreshes.finish().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_longest_time_and_nine_tenths_of_it_the_shortest() {
        let interval = Duration::from_secs(900);
        let times: Vec<Duration> = (0..1_000).map(|_| spread(interval)).collect();
        assert!(times.iter().all(|time| (interval * 9 / 10..=interval).contains(time)));
        let early = times.iter().filter(|time| **time < interval * 95 / 100).count();
        assert!((300..700).contains(&early), "{early}");
    }
}
