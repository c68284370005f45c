//! The clock of this machine beside the one of a provider, by the `Date` of its answers.

use std::sync::Arc;

use claimgate::oidc::{Request, Response};
use claimgate::time::UnixTime;
use claimgate_remote::fetch::Fetching;
use claimgate_remote::{Fetch, HttpClient};
use http::header::DATE;
use parking_lot::Mutex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::check_steps::Outcome;
use crate::system;

/// Seconds between two clocks from which they differ: a `Date` has whole seconds, and the answer travels.
const DIFFERENCE: i64 = 3;

/// Compares the clock of this machine with the one of a provider. The request was sent at `sent` and answered at
/// `answered`, by the clock of this machine; tokens may be `leeway` seconds from its future.
pub(super) fn compare(
    response: &Response,
    (sent, answered): (UnixTime, UnixTime),
    leeway: u64,
) -> (Outcome, String) {
    let Some(ahead) = ahead(response, (sent, answered)) else {
        let text = "the provider does not say what time it is: its clock is not compared with this one";
        return (Outcome::Note, text.to_owned());
    };
    let apart = ahead.unsigned_abs();
    let side = if ahead > 0 { "behind" } else { "ahead of" };
    if ahead.abs() < DIFFERENCE {
        (Outcome::Good, "the clock of this machine is that of the provider".to_owned())
    } else if apart <= leeway {
        let text = format!(
            "the clock of this machine is {apart} s {side} the provider's; tokens are accepted up to {leeway} s (`leeway`)"
        );
        (Outcome::Note, text)
    } else {
        let text = format!(
            "the clock of this machine is {apart} s {side} the provider's: its tokens are refused as expired or not yet valid; \
            set the clock by the network (timedatectl set-ntp true), here or at the provider"
        );
        (Outcome::Problem, text)
    }
}

/// Returns by how many seconds at least the clock of a provider is ahead of the one of this machine, by the `Date` of an
/// answer; less than 0 where it is behind, and 0 where it may be the same. `None` without a `Date`.
fn ahead(response: &Response, (sent, answered): (UnixTime, UnixTime)) -> Option<i64> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    let date = OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp();
    // A whole second of the provider, at some time between the two.
    Some(if date < sent.0 { date - sent.0 } else { (date - answered.0).max(0) })
}

/// The clock of a provider, as the answers to what is fetched anyway show it.
#[derive(Default)]
pub(super) struct ProviderClock(Mutex<Option<i64>>);

impl ProviderClock {
    /// Returns by how many seconds it is ahead of the one of this machine; `None` before an answer with a `Date`.
    pub(super) fn ahead(&self) -> Option<i64> {
        *self.0.lock()
    }

    /// Takes over what another value knows.
    pub(super) fn inherit(&self, old: &Self) {
        *self.0.lock() = old.ahead();
    }
}

/// An HTTP client that notes the clock of the provider that it asks.
pub(super) struct NotingClient {
    pub(super) client: HttpClient,
    pub(super) clock: Arc<ProviderClock>,
}

impl Fetch for NotingClient {
    fn fetch(&self, request: Request, limit: usize) -> Fetching<'_> {
        Box::pin(async move {
            let sent = system::now();
            let response = self.client.fetch(request, limit).await?;
            if let Some(ahead) = ahead(&response, (sent, system::now())) {
                *self.clock.0.lock() = Some(ahead);
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(date: Option<&str>, sent: i64, answered: i64) -> (Outcome, String) {
        let mut response = Response::new(Vec::new());
        if let Some(date) = date {
            response.headers_mut().insert(DATE, date.parse().expect("a header"));
        }
        compare(&response, (UnixTime(sent), UnixTime(answered)), 60)
    }

    #[test]
    fn a_clock_beyond_the_leeway_is_a_problem() {
        // RFC 9110 §5.6.7's example.
        const DATE: Option<&str> = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        const TIME: i64 = 784_111_777;
        for (sent, answered, outcome, text) in [
            (TIME, TIME, Outcome::Good, "the clock"),
            (TIME - 5, TIME + 5, Outcome::Good, "the clock"),
            (TIME + 2, TIME + 2, Outcome::Good, "the clock"),
            (TIME + 3, TIME + 3, Outcome::Note, "the clock of this machine is 3 s ahead of the provider's"),
            (
                TIME - 70,
                TIME - 60,
                Outcome::Note,
                "60 s behind the provider's; tokens are accepted up to 60 s",
            ),
            (
                TIME - 71,
                TIME - 61,
                Outcome::Problem,
                "the clock of this machine is 61 s behind the provider's",
            ),
            (
                TIME + 61,
                TIME + 65,
                Outcome::Problem,
                "refused as expired or not yet valid; set the clock by the network",
            ),
        ] {
            let (found, said) = said(DATE, sent, answered);
            assert!(found == outcome && said.contains(text), "{text}: {said}");
        }
        for unknown in [None, Some(""), Some("yesterday")] {
            let (outcome, text) = said(unknown, TIME, TIME);
            assert!(outcome == Outcome::Note && text.starts_with("the provider does not say"), "{text}");
        }
    }
}
