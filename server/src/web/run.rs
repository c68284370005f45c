//! The lifecycle of a server: listening, reloading, stopping.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use super::admission::MAX_HEAD;
use super::app::{App, Server};
use super::connection::Acceptor;
use super::connection_places::MAX_FILES;
use super::events;
use super::refreshes;
use super::reload::{self, Reload};
use crate::store::EventLimits;
use crate::store::postgres::Address;
use crate::system;
use claimgate::oidc::records::StoreError;
use claimgate_config::{Events, Postgres, Store};

/// Longest time for the requests in progress when the server stops.
const GRACE: Duration = Duration::from_secs(20);
/// Longest time for a client to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that may wait to be accepted: a storm of logouts brings many at once.
const BACKLOG: u32 = 4096;
/// Most concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 16;
/// Most bytes of one HTTP/2 request that may arrive before they are read; twice as many on one connection.
const WINDOW: u32 = 64 * 1024;
/// Most bytes that the system keeps for a client that does not read, on one connection.
const SEND_BUFFER: u32 = 64 * 1024;
/// Interval between deletions of expired sessions and logout records.
const PURGE: Duration = Duration::from_secs(60);

/// Interval between checks for uses of sessions that are to be written.
const WRITE_USES: Duration = Duration::from_secs(1);

/// Interval between transactions that record refusals and logouts.
const RECORD_EVENTS: Duration = Duration::from_secs(1);

/// The reason why a server could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason that the system gave.
        reason: String,
    },
    /// The TLS certificate or its key cannot be used.
    #[error("{file}: {reason}")]
    Tls {
        /// The file of the certificate.
        file: String,
        /// The reason.
        reason: String,
    },
}

/// Installs ring as the process's TLS provider. To be called before any TLS connection.
pub fn install_tls() {
    // An error means that a provider is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Serves until `stop` completes, then finishes the requests in progress. Each configuration received
/// from `reloads` replaces the one before it.
///
/// # Errors
/// A [`RunError`].
pub async fn run(
    server: Server,
    stop: impl Future<Output = ()> + Send + 'static,
    reloads: mpsc::Receiver<Reload>,
) -> Result<(), RunError> {
    let app = server.app();
    let address = app.server.listen;
    let listener =
        listen_on(address).map_err(|error| RunError::Listen { address, reason: error.to_string() })?;
    let bound = listener.local_addr().unwrap_or(address);
    let tls = match &app.server.tls {
        Some((certificate, key)) => Some(load_tls(certificate, key).await?),
        None => None,
    };
    drop(app);

    let handle = Handle::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(stop_gracefully(stop, server.clone(), handle.clone()));
    tasks.spawn(purge(server.clone()));
    tasks.spawn(record_events(server.clone()));
    tasks.spawn(write_uses(server.clone()));
    tasks.spawn(refreshes::run(server.clone()));
    tasks.spawn(take_reloads(server.clone(), reloads, tls.clone()));

    let open_files = system::raise_open_files(MAX_FILES);
    info!(address = %bound, open_files, tls = tls.is_some(), url = server.app().server.public_url.join(""), "listening");
    let service = server.router().into_make_service_with_connect_info::<SocketAddr>();
    let listen = |error: std::io::Error| RunError::Listen { address, reason: error.to_string() };
    let acceptor = Acceptor::new(server.clone(), handle.clone(), open_files);
    let result = match tls {
        Some(config) => {
            let bound = axum_server::from_tcp_rustls(listener, config).map_err(listen)?;
            limited(bound.map(|tls| tls.acceptor(acceptor)), handle).serve(service).await
        }
        None => {
            // Without TLS a proxy is in between, and proxies speak HTTP/1.1 unless told otherwise. Few answer
            // for the others on a connection then.
            let bound = axum_server::from_tcp(listener).map_err(listen)?.http1_only();
            limited(bound.acceptor(acceptor), handle).serve(service).await
        }
    };
    // A refresh token that was replaced would be lost.
    refreshes::finish(&server.app()).await;
    // Those of the last requests.
    events::flush(&server.app()).await;
    if let Err(error) = write_uses_in_turn(&server.app(), true).await {
        warn!(%error, "the last uses of sessions could not be written: idle sessions end earlier");
    }
    info!("stopped");
    result.map_err(listen)
}

fn listen_on(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit both. Without the second an answer over TLS would wait 40 ms for the client to
    // acknowledge the session ticket before it (RFC 896 with RFC 1122 §4.2.3.2).
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Limits the time and memory that each connection may take.
fn limited<A>(
    server: axum_server::Server<SocketAddr, A>,
    handle: Handle<SocketAddr>,
) -> axum_server::Server<SocketAddr, A> {
    let mut server = server
        .handle(handle)
        .first_request_timeout(HEAD_TIMEOUT)
        .accept_error_handler(|_, error| debug!(%error, "a connection was not accepted"));
    let http = server.http_builder();
    let mut http1 = http.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut http2 = http.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT).keep_alive_timeout(HEAD_TIMEOUT);
    http2
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .max_send_buf_size(WINDOW as usize)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
    server
}

/// Puts each new configuration in use. The background tasks of the old one end with it.
async fn take_reloads(server: Server, mut reloads: mpsc::Receiver<Reload>, tls: Option<RustlsConfig>) {
    let mut background = keep_fresh(&server);
    refreshes::forget_unused(&server.app()).await;
    // What needs a restart is in use as it was at the start, whatever has been reloaded since.
    let started = server.app().server.clone();
    while let Some(Reload { config, answer }) = reloads.recv().await {
        let reloaded = config.and_then(|config| {
            server.reload(config).map_err(|error| {
                error!(%error, "the new configuration is not used; the old one stays in use");
                error.to_string()
            })
        });
        server.app().metrics().reloaded(reloaded.is_ok());
        let outcome = match reloaded {
            Ok(()) => {
                background = keep_fresh(&server);
                info!("configuration reloaded");
                refreshes::forget_unused(&server.app()).await;
                let restart = restart_settings(&started, &server.app().server);
                for setting in &restart {
                    warn!(setting, "this setting has changed and takes effect at the next start");
                }
                use_store_access(&server, &started.store).await;
                Ok(restart)
            }
            Err(reason) => Err(reason),
        };
        reload::answer(answer, outcome);
        if let (Some(tls), Some((certificate, key))) = (&tls, &server.app().server.tls)
            && let Err(error) = tls.reload_from_pem_file(certificate, key).await
        {
            error!(%error, "the certificate was not reloaded; the old one stays in use");
        }
    }
    // No further reload is possible; the background tasks continue.
    while background.join_next().await.is_some() {}
}

/// Has new connections to PostgreSQL use the password and the certificates (`ca_file`) of the new configuration, if that
/// names the database of the start.
async fn use_store_access(server: &Server, started_with: &Store) {
    let app = server.app();
    let Store::Postgres(settings) = &app.server.store else { return };
    if !started_with.is_like(&app.server.store) {
        return;
    }
    let Postgres { url, password, ca_file, danger_plaintext, .. } = settings;
    let (password, ca_file) = (password.as_ref(), ca_file.as_deref());
    match (Address { url, password, ca_file, danger_plaintext: *danger_plaintext }).resolve() {
        Ok(described) => {
            if let Err(error) = app.store.use_access_of(&described).await {
                error!(%error, "a new connection to [store] fails with the password and the ca_file as they are now; connections that are open go on");
            }
        }
        Err(error) => {
            error!(%error, "the password and the ca_file of [store] were not reloaded; the old ones stay in use");
        }
    }
}

/// Returns the settings that are others than at the start, and that need a restart.
fn restart_settings(
    started: &claimgate_config::Server,
    after: &claimgate_config::Server,
) -> Vec<&'static str> {
    let store = match (&started.store, &after.store) {
        (Store::Sqlite(before), Store::Sqlite(after)) if before.file == after.file => "logout_memory",
        (Store::Sqlite(_), Store::Sqlite(_)) => "database",
        _ => "store",
    };
    let settings = [
        ("listen", started.listen != after.listen),
        (store, !started.store.is_like(&after.store)),
        ("tls_certificate", started.tls.is_some() != after.tls.is_some()),
    ];
    settings.into_iter().filter(|(_, changed)| *changed).map(|(setting, _)| setting).collect()
}

pub(crate) async fn load_tls(certificate: &Path, key: &Path) -> Result<RustlsConfig, RunError> {
    RustlsConfig::from_pem_file(certificate, key)
        .await
        .map_err(|error| RunError::Tls { file: certificate.display().to_string(), reason: error.to_string() })
}

async fn stop_gracefully(stop: impl Future<Output = ()>, server: Server, handle: Handle<SocketAddr>) {
    stop.await;
    refreshes::stop(&server.app());
    info!("stopping; requests in progress are finished");
    handle.graceful_shutdown(Some(GRACE));
}

/// Deletes expired records, for as long as the server runs.
async fn purge(server: Server) {
    loop {
        let app = server.app();
        let Events { retention, max, .. } = app.config.events;
        if let Err(error) = app.store.keep_up(EventLimits { retention, max }).await {
            warn!(%error, "what is over could not be deleted");
        }
        app.process.limiter.drop_idle();
        drop(app);
        tokio::time::sleep(PURGE).await;
    }
}

/// Records the events that wait, for as long as the server runs.
async fn record_events(server: Server) {
    loop {
        tokio::time::sleep(RECORD_EVENTS).await;
        events::flush(&server.app()).await;
    }
}

/// Writes the uses of sessions, for as long as the server runs.
async fn write_uses(server: Server) {
    let (mut written, mut failing) = (Instant::now(), false);
    loop {
        tokio::time::sleep(WRITE_USES).await;
        let app = server.app();
        let all = written.elapsed() >= app.store.use_step();
        if all {
            written = Instant::now();
        }
        let result = write_uses_in_turn(&app, all).await;
        if let Some(error) = result.as_ref().err().filter(|_| !failing) {
            warn!(%error, "uses of sessions cannot be written: sessions in use may end after the idle time");
        }
        failing = result.is_err();
    }
}

/// Writes the uses of sessions that are due, or (`all`) all, after those that are being written: the task that writes them
/// ends with the server.
async fn write_uses_in_turn(app: &App, all: bool) -> Result<(), StoreError> {
    let _turn = app.process.writes_uses.lock().await;
    app.store.write_uses(all).await
}

/// Spawns the tasks that keep the providers' metadata and keys fresh; they end when the result is dropped.
fn keep_fresh(server: &Server) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for provider in &server.app().providers {
        for remote in provider.own_remotes() {
            tasks.spawn(Arc::clone(remote).keep_fresh());
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::store::SqliteStore;
    use crate::web::app::tests::{config, server};

    #[tokio::test]
    async fn what_needs_a_restart_is_what_differs_from_the_start_whatever_was_reloaded_since() {
        let server = server(&SqliteStore::in_memory().expect("a store"));
        let (reloads, received) = mpsc::channel(1);
        let taking = tokio::spawn(take_reloads(server, received, None));
        let reload = async |settings: &str| {
            let (answer, outcome) = oneshot::channel();
            let reload = Reload { config: Ok(config(settings)), answer: Some(answer) };
            reloads.send(reload).await.expect("they are taken");
            outcome.await.expect("an answer").expect("a good configuration")
        };
        let other = "listen = \"127.0.0.1:7\"";
        assert_eq!(reload(other).await, ["listen"]);
        assert_eq!(reload(other).await, ["listen"], "it is not in use yet");
        assert_eq!(reload("").await, [""; 0], "that of the start is in use");
        taking.abort();
    }

    #[tokio::test]
    async fn an_accepted_connection_sends_without_waiting_for_acknowledgements() {
        let listener = listen_on(([127, 0, 0, 1], 0).into()).expect("a free port");
        listener.set_nonblocking(false).expect("waits");
        let _client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (accepted, _) = listener.accept().expect("connected");
        assert!(accepted.nodelay().expect("a socket"));
    }
}
