//! The queue of back-channel logouts: pending tokens are verified as one batch and recorded in one
//! transaction.
//!
//! ```text
//!  requests ──► queue of tokens ──► verify as a batch ──► queue of work ──► one transaction ──► disk
//!               (this file)         thread "logouts"      (store)           thread "store"
//!                  ▲                                                              │
//!                  └────── at most IN_STORE batches are with the store ◄──────────┘
//! ```
//!
//! There are two queues in series because the two steps want different batches. Verification wants many
//! tokens of one provider: the RSA kernel verifies eight signatures for little more than the price of
//! one. The store wants writes of any kind, sign-ins included, for one `fsync`. If the store's thread
//! verified, every sign-in would wait for signatures; if each request verified its own token, there
//! would be no batch. With two threads the next batch is verified while the one before is written.
//!
//! No batch waits to fill: it is what arrived while the one before was verified. When the store falls behind,
//! `IN_STORE` stops this thread, the queue here fills, and further logouts find no place
//! ([`admission`](super::admission)). A request is answered when its logout is durable; a refused token does not
//! affect the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rayon::prelude::*;
use tokio::sync::oneshot;
use tracing::{debug, error};

use super::admission::Permit;
use super::metrics::Metrics;
use super::problem::Problem;
use super::provider::Provider;
use super::token_log;
use crate::store::{LoggedOut, Store, work_lost};
use crate::system;
use claimgate::claims::LogoutToken;
use claimgate::oidc::backchannel::{self, LogoutError, Replayed, ValidatedLogout};
use claimgate::oidc::records::{Position, StoreError};
use claimgate::verifier::ValidatedToken;
use claimgate_remote::keys::may_lack_key;

/// Most logouts in one batch: limits how long the first of them, and a sign-in behind them, waits.
const BATCH: usize = 256;
/// Most tokens that one core verifies as a batch.
const PER_CORE: usize = 64;
/// Most batches with the store: one being written, one waiting.
const IN_STORE: usize = 2;

/// The result of a logout: the number of sessions ended.
type LogoutResult = Result<LoggedOut, LogoutError>;

/// A logout on its way to the store.
pub(super) enum QueuedToken {
    /// A logout token as it arrived.
    Presented(String),
    /// A logout token that was verified by a key that had to be awaited.
    Verified(ValidatedToken<LogoutToken>),
    /// The logout of a security event token that was verified.
    Read(Box<ValidatedLogout>),
}

/// A logout token in the queue.
struct PendingLogout {
    provider: Arc<Provider>,
    token: QueuedToken,
    received: Position,
    waiting: Waiting,
}

/// A request that waits for its logout.
struct Waiting {
    /// A send fails if the client has gone away.
    answer: oneshot::Sender<LogoutResult>,
    /// Keeps the request's place and the bytes of its token, even if the client has gone away.
    _permit: Permit,
}

impl Waiting {
    fn answer(self, result: LogoutResult) {
        drop(self.answer.send(result));
    }
}

/// The entrance of the queue. Its thread ends when this is dropped.
pub(crate) struct LogoutQueue(Sender<PendingLogout>);

impl LogoutQueue {
    /// Starts the thread of the queue.
    pub(crate) fn start(store: Store, metrics: Arc<Metrics>) -> Result<Self, StoreError> {
        let (entrance, queue) = channel();
        std::thread::Builder::new()
            .name("logouts".to_owned())
            .spawn(move || Worker::new(store, metrics).run(&queue))
            .map_err(|error| StoreError { reason: error.to_string() })?;
        Ok(Self(entrance))
    }

    /// Verifies a logout token, unless it is verified, and ends the sessions it names. Returns what ended, once that
    /// is durable. The permit is held meanwhile: the queue has as many places as admission gives.
    pub(super) async fn log_out(
        &self,
        provider: &Arc<Provider>,
        token: QueuedToken,
        permit: Permit,
    ) -> Result<LoggedOut, Problem> {
        let (answer, answered) = oneshot::channel();
        let provider = Arc::clone(provider);
        let waiting = Waiting { answer, _permit: permit };
        let pending = PendingLogout { provider, token, received: system::position(), waiting };
        self.0.send(pending).map_err(|_| work_lost())?;
        Ok(answered.await.unwrap_or_else(|_| Err(work_lost().into()))?)
    }
}

struct Worker {
    store: Store,
    metrics: Arc<Metrics>,
    /// Receives a message for each batch that the store has finished.
    finished: Receiver<()>,
    report_finished: Sender<()>,
    in_store: usize,
}

impl Worker {
    fn new(store: Store, metrics: Arc<Metrics>) -> Self {
        let (report_finished, finished) = channel();
        Self { store, metrics, finished, report_finished, in_store: 0 }
    }

    fn run(mut self, queue: &Receiver<PendingLogout>) {
        loop {
            // While this waits for the store, the next batch grows.
            while self.in_store == IN_STORE {
                if self.finished.recv().is_err() {
                    return;
                }
                self.in_store -= 1;
            }
            let Ok(first) = queue.recv() else { return };
            let batch: Vec<_> = std::iter::once(first).chain(queue.try_iter()).take(BATCH).collect();
            // A panic drops the senders of its own batch, which answers its requests.
            if catch_unwind(AssertUnwindSafe(|| self.process(batch))).is_err() {
                error!("a batch of logouts was lost to a panic");
            }
        }
    }

    fn process(&mut self, batch: Vec<PendingLogout>) {
        let mut verified = Vec::with_capacity(batch.len());
        for group in by_provider(batch) {
            self.verify(group, &mut verified);
        }
        if verified.is_empty() {
            return;
        }
        let (logouts, waiting): (Vec<_>, Vec<_>) = verified.into_iter().unzip();
        self.in_store += 1;
        let slot = StoreSlot(self.report_finished.clone());
        let answer = move |results: Result<Vec<_>, StoreError>| {
            drop(slot);
            answer(results, waiting);
        };
        // If the store refuses the work, it drops the senders, which answers the requests.
        drop(self.store.log_out_then(logouts, answer));
    }

    /// Verifies tokens of one provider. Refused tokens are answered here.
    fn verify(&self, group: Vec<PendingLogout>, verified: &mut Vec<(ValidatedLogout, Waiting)>) {
        let provider = Arc::clone(&group[0].provider);
        let presented = group.iter().filter_map(|pending| match &pending.token {
            QueuedToken::Presented(token) => Some(token.as_str()),
            QueuedToken::Verified(_) | QueuedToken::Read(_) => None,
        });
        let tokens: Vec<&str> = presented.collect();
        let now = system::now();
        // A large group is spread over all cores, so that a flood of costly tokens does not occupy this
        // thread alone.
        let results: Vec<_> = match tokens.len() {
            0..=PER_CORE => provider.logout_tokens.verify_batch(&tokens, now),
            _ => tokens
                .par_chunks(PER_CORE)
                .flat_map_iter(|tokens| provider.logout_tokens.verify_batch(tokens, now))
                .collect(),
        };
        let leeway = Duration::from_secs(provider.config.leeway);
        let mut results = results.into_iter();
        for pending in group {
            let result = match pending.token {
                QueuedToken::Presented(_) => results.next().expect("each presented token has a result"),
                QueuedToken::Verified(token) => Ok(token),
                QueuedToken::Read(logout) => {
                    verified.push((logout.kept_for(provider.remembers_logouts_for), pending.waiting));
                    continue;
                }
            };
            match result {
                Ok(token) => {
                    self.metrics.verified(Ok(token.header().algorithm()));
                    token_log::accepted("logout token", token.header(), token.claims());
                    let logout = backchannel::read(token, leeway, pending.received);
                    let logout = logout.kept_for(provider.remembers_logouts_for);
                    verified.push((logout, pending.waiting));
                }
                Err(error) => {
                    // The route logs the refusal. Newer keys may verify the token, or the same one when it is
                    // awaited: then the route decides.
                    if !may_lack_key(&error) && error.unavailable().is_none() {
                        self.metrics.verified(Err(error.code()));
                    }
                    pending.waiting.answer(Err(error.into()));
                }
            }
        }
    }
}

/// A batch's slot with the store. Dropping it frees the slot, whatever happened to the batch.
struct StoreSlot(Sender<()>);

impl Drop for StoreSlot {
    fn drop(&mut self) {
        // Fails if the worker has ended.
        let _ = self.0.send(());
    }
}

fn by_provider(batch: Vec<PendingLogout>) -> Vec<Vec<PendingLogout>> {
    let mut groups: Vec<Vec<PendingLogout>> = Vec::new();
    for pending in batch {
        match groups.iter_mut().find(|group| Arc::ptr_eq(&group[0].provider, &pending.provider)) {
            Some(group) => group.push(pending),
            None => groups.push(vec![pending]),
        }
    }
    groups
}

/// Sends each logout its result.
fn answer(results: Result<Vec<Result<LoggedOut, Replayed>>, StoreError>, waiting: Vec<Waiting>) {
    match results {
        Ok(results) => {
            let ended: usize = results.iter().flatten().map(|logout| logout.ended.sessions).sum();
            let replayed = results.iter().filter(|result| result.is_err()).count();
            debug!(logouts = results.len() - replayed, ended, replayed, "back-channel logouts");
            for (result, waiting) in results.into_iter().zip(waiting) {
                waiting.answer(result.map_err(LogoutError::from));
            }
        }
        Err(error) => {
            for waiting in waiting {
                waiting.answer(Err(error.clone().into()));
            }
        }
    }
}
