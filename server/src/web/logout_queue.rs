//! Back-channel logouts, by the batch: what waits is verified as one and written as one transaction.
//!
//! Nobody waits for a batch to fill: it is what has come while the one before was verified and
//! written. Each is answered when its batch is durable; a token that is refused harms no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};

use rayon::prelude::*;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::provider::{Provider, lacks_key};
use super::respond::Problem;
use super::{App, token_log};
use crate::store::{SqliteRecords, Store, undone};
use crate::system;
use claimgate::oidc::backchannel::{self, LogoutError, ValidatedLogout};
use claimgate::oidc::records::StoreError;

/// Logouts that may wait; more are refused at once.
const QUEUE: usize = 4096;
/// Most logouts in one batch: bounds how long the first of them, and a sign-in behind them, waits.
const BATCH: usize = 256;
/// Most tokens of a batch that one core verifies.
const AT_ONCE: usize = 64;
/// Batches that are handed to the store: one being written, one behind it.
const IN_STORE: usize = 2;

/// A logout token on its way.
struct Waiting {
    app: Arc<App>,
    provider: Arc<Provider>,
    token: String,
    received_ms: i64,
    answer: oneshot::Sender<Result<usize, LogoutError>>,
}

/// Takes logout tokens in. The worker ends with the last server that uses it.
pub(crate) struct Logouts(SyncSender<Waiting>);

impl Logouts {
    pub(crate) fn start(store: Store) -> Result<Self, StoreError> {
        let (entrance, queue) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("logouts".to_owned())
            .spawn(move || Worker::new(store).run(&queue))
            .map_err(|error| StoreError { reason: error.to_string() })?;
        Ok(Self(entrance))
    }

    /// Verifies a logout token and ends what it is about; how many sessions ended, once that is
    /// durable.
    pub(crate) async fn log_out(
        &self,
        app: &Arc<App>,
        provider: &Arc<Provider>,
        token: String,
    ) -> Result<usize, Problem> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            app: Arc::clone(app),
            provider: Arc::clone(provider),
            token,
            received_ms: system::now_ms(),
            answer,
        };
        self.0.try_send(waiting).map_err(|refused| match refused {
            TrySendError::Full(_) => Problem::Busy,
            TrySendError::Disconnected(_) => undone().into(),
        })?;
        Ok(answered.await.unwrap_or_else(|_| Err(undone().into()))?)
    }
}

struct Worker {
    store: Store,
    /// Told each time that the store is done with a batch.
    done: Receiver<()>,
    tell_done: Sender<()>,
    in_store: usize,
}

impl Worker {
    fn new(store: Store) -> Self {
        let (tell_done, done) = channel();
        Self { store, done, tell_done, in_store: 0 }
    }

    fn run(mut self, queue: &Receiver<Waiting>) {
        loop {
            // Room in the store first: meanwhile the next batch grows.
            while self.in_store == IN_STORE {
                if self.done.recv().is_err() {
                    return;
                }
                self.in_store -= 1;
            }
            let Ok(first) = queue.recv() else { return };
            let batch: Vec<Waiting> = std::iter::once(first).chain(queue.try_iter()).take(BATCH).collect();
            // What panics takes its own batch with it, whose senders see their answers dropped.
            if catch_unwind(AssertUnwindSafe(|| self.handle(batch))).is_err() {
                error!("a batch of logouts was lost to a panic");
            }
        }
    }

    fn handle(&mut self, batch: Vec<Waiting>) {
        let mut verified = Vec::with_capacity(batch.len());
        for group in by_provider(batch) {
            verify(group, &mut verified);
        }
        if verified.is_empty() {
            return;
        }
        let (logouts, answers): (Vec<_>, Vec<_>) = verified.into_iter().unzip();
        self.in_store += 1;
        let slot = Slot(self.tell_done.clone());
        let tell = move |results: Result<Vec<_>, StoreError>| {
            drop(slot);
            answer(results, answers);
        };
        // Where the store takes no more, the answers are dropped, and that is the answer.
        drop(self.store.transact_then(move |records| apply(records, &logouts), tell));
    }
}

/// A batch's place in the store; free again when this is dropped, whatever became of the batch.
struct Slot(Sender<()>);

impl Drop for Slot {
    fn drop(&mut self) {
        // The worker may have ended.
        let _ = self.0.send(());
    }
}

fn by_provider(batch: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut groups: Vec<Vec<Waiting>> = Vec::new();
    for waiting in batch {
        match groups.iter_mut().find(|group| Arc::ptr_eq(&group[0].provider, &waiting.provider)) {
            Some(group) => group.push(waiting),
            None => groups.push(vec![waiting]),
        }
    }
    groups
}

type Answer = oneshot::Sender<Result<usize, LogoutError>>;

/// Verifies tokens of one provider; those that are refused are answered here.
fn verify(group: Vec<Waiting>, verified: &mut Vec<(ValidatedLogout, Answer)>) {
    let provider = Arc::clone(&group[0].provider);
    let tokens: Vec<&str> = group.iter().map(|waiting| waiting.token.as_str()).collect();
    let now = system::now();
    // On all cores where there is much, so that no flood of costly tokens has this thread to itself.
    let results: Vec<_> = match tokens.len() {
        0..=AT_ONCE => provider.logout_tokens.verify_batch(&tokens, now),
        _ => tokens
            .par_chunks(AT_ONCE)
            .flat_map_iter(|tokens| provider.logout_tokens.verify_batch(tokens, now))
            .collect(),
    };
    for (waiting, result) in group.into_iter().zip(results) {
        match result {
            Ok(token) => {
                waiting.app.metrics().verified(Ok(token.header().algorithm()));
                token_log::accepted("logout token", token.header(), token.claims());
                let logout = backchannel::read(token, provider.config.leeway, waiting.received_ms);
                verified.push((logout, waiting.answer));
            }
            Err(error) => {
                if !lacks_key(&error) {
                    token_log::refused("logout token", &waiting.token, error.code());
                    waiting.app.metrics().verified(Err(error.code()));
                }
                // Whoever asked may have gone away, here and below.
                drop(waiting.answer.send(Err(error.into())));
            }
        }
    }
}

/// One after the other, in one transaction. A replayed token has written nothing; where the store
/// fails, it fails for all.
fn apply(
    records: &mut SqliteRecords<'_>,
    logouts: &[ValidatedLogout],
) -> Result<Vec<Result<usize, LogoutError>>, StoreError> {
    let each = logouts.iter().map(|logout| match backchannel::apply(records, logout) {
        Err(LogoutError::Store(error)) => Err(error),
        result => Ok(result),
    });
    each.collect()
}

fn answer(results: Result<Vec<Result<usize, LogoutError>>, StoreError>, answers: Vec<Answer>) {
    match results {
        Ok(results) => {
            let ended: usize = results.iter().flatten().sum();
            let replayed = results.iter().filter(|result| result.is_err()).count();
            info!(logouts = results.len() - replayed, ended, replayed, "back-channel logouts");
            for (result, answer) in results.into_iter().zip(answers) {
                drop(answer.send(result));
            }
        }
        Err(error) => {
            for answer in answers {
                drop(answer.send(Err(error.clone().into())));
            }
        }
    }
}
