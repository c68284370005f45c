//! Connections: how many there may be, in all and by client address, and when one is given up.
//!
//! A client that does not read its answers is not waited for. Each connection knows its requests under way
//! and the answers that wait to be read; it is closed when the socket takes no byte for [`WRITE_TIME`], when
//! an answer waits for [`ANSWER_TIME`] (an HTTP/2 client may grant no window and go on answering pings), when
//! nothing was requested for [`IDLE_TIME`], and after [`MAX_AGE`].

use std::future::{Future, ready};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum_server::Handle;
use axum_server::accept::Accept;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tower_http::add_extension::AddExtension;

use super::admission::Permit;
use super::app::Server;
use super::buffers::{Buffer, Buffers};
use super::connection_places::{Places, Refused};
use super::shares::{Class, Share};

/// Longest time that a client may take no byte of what is written to it.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Longest time that an answer may wait to be read.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Longest time without a request on a connection. HTTP/1 ends earlier, with the time for a request's head.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Age at which a connection is closed once it has no request under way.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// Interval between the checks of these times.
const CHECK: Duration = Duration::from_secs(5);

/// Accepts connections up to the limits. Closes others unread, those beyond the share of an address after a pause.
#[derive(Clone)]
pub(super) struct Acceptor {
    server: Server,
    handle: Handle<SocketAddr>,
    places: Places,
    buffers: Buffers,
}

impl Acceptor {
    /// Limits the connections of a server that may have so many files open.
    pub(super) fn new(server: Server, handle: Handle<SocketAddr>, open_files: usize) -> Self {
        Self { server, handle, places: Places::new(open_files), buffers: Buffers::default() }
    }

    fn admit(&self, peer: IpAddr) -> Result<Occupied, Refused> {
        let app = self.server.app();
        let class = match () {
            () if peer.is_loopback() || app.trusts_proxy(peer) => Class::Trusted,
            () if app.sends_logouts(peer) => Class::Provider,
            () => Class::Stranger,
        };
        // The count includes this connection.
        let share = self.places.take(peer, class, self.handle.connection_count())?;
        Ok(Occupied { _share: share, buffer: self.buffers.of_connection(peer, class) })
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Acceptor {
    type Stream = Watched<TcpStream>;
    type Service = AddExtension<S, Arc<Connection>>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let peer = match stream.peer_addr() {
            Ok(peer) => peer.ip().to_canonical(),
            Err(error) => return Box::pin(ready(Err(error))),
        };
        match self.admit(peer) {
            Ok(occupied) => {
                let connection = Arc::new(Connection::new());
                let service = AddExtension::new(service, Arc::clone(&connection));
                Box::pin(ready(Ok((Watched::new(stream, connection, occupied), service))))
            }
            Err(refused) => {
                let places = self.places.clone();
                Box::pin(async move {
                    let error = places.refuse(refused).await;
                    drop(stream);
                    Err(error)
                })
            }
        }
    }
}

/// What a connection occupies until it ends.
struct Occupied {
    _share: Option<Share>,
    buffer: Buffer,
}

/// What is under way on one connection.
pub(super) struct Connection {
    opened: Instant,
    progress: Mutex<Progress>,
}

struct Progress {
    requests: usize,
    /// Whether a request has begun since this was last asked.
    begun: bool,
    /// When the last request ended.
    idle_since: Instant,
    /// Since when each answer that is not written yet waits.
    waiting: Vec<Instant>,
}

impl Connection {
    fn new() -> Self {
        let opened = Instant::now();
        let progress = Progress { requests: 0, begun: false, idle_since: opened, waiting: Vec::new() };
        Self { opened, progress: Mutex::new(progress) }
    }

    /// Counts a request until the result, or the body that it is given to, is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Exchange {
        let mut progress = self.progress.lock();
        progress.requests += 1;
        progress.begun = true;
        drop(progress);
        Exchange { connection: Arc::clone(self), answered: None }
    }

    /// Counts bytes that were read: they are a head's, unless a request is under way.
    fn count(&self, bytes: usize, buffer: &mut Buffer) -> io::Result<()> {
        let mut progress = self.progress.lock();
        if std::mem::take(&mut progress.begun) {
            buffer.end_head();
        }
        if progress.requests > 0 {
            return Ok(());
        }
        buffer.grow_head(bytes).map_err(|_| io::Error::other("too many bytes of request heads"))
    }

    /// Reports whether the connection is to be given up.
    fn is_overdue(&self) -> bool {
        let progress = self.progress.lock();
        let idle = progress.requests == 0;
        progress.waiting.iter().any(|since| since.elapsed() > ANSWER_TIME)
            || (idle && (progress.idle_since.elapsed() > IDLE_TIME || self.opened.elapsed() > MAX_AGE))
    }
}

/// A request under way on a connection.
pub(super) struct Exchange {
    connection: Arc<Connection>,
    answered: Option<Instant>,
}

impl Exchange {
    /// Binds the exchange, and the permit of its request, to the response body: both end when the body has been
    /// written, or when the connection is given up.
    pub(super) fn answer(mut self, body: Body, permit: Option<Permit>) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let now = Instant::now();
        self.answered = Some(now);
        self.connection.progress.lock().waiting.push(now);
        Body::new(HeldBody { body, _exchange: self, _permit: permit })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut progress = self.connection.progress.lock();
        progress.requests -= 1;
        progress.idle_since = Instant::now();
        let own = progress.waiting.iter().position(|since| Some(*since) == self.answered);
        if let Some(own) = own {
            progress.waiting.swap_remove(own);
        }
    }
}

/// A response body with what it occupies.
struct HeldBody {
    body: Body,
    _exchange: Exchange,
    _permit: Option<Permit>,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that fails once its connection is to be given up.
pub(super) struct Watched<T> {
    stream: T,
    connection: Arc<Connection>,
    /// Since when the client takes no byte of what is written.
    stalled: Option<Instant>,
    check: Pin<Box<Sleep>>,
    occupied: Occupied,
}

impl<T> Watched<T> {
    fn new(stream: T, connection: Arc<Connection>, occupied: Occupied) -> Self {
        Self { stream, connection, stalled: None, check: Box::pin(sleep(CHECK)), occupied }
    }

    /// Fails if the connection is to be given up. Every operation calls this, so that the timer wakes the task
    /// whatever the task waits for.
    fn watch(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.check.as_mut().poll(context).is_ready() {
            let stalled = self.stalled.is_some_and(|since| since.elapsed() >= WRITE_TIME);
            if stalled || self.connection.is_overdue() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"));
            }
            self.check.as_mut().reset(Instant::now() + CHECK);
        }
        Ok(())
    }

    /// Notes whether the client takes what is written. Fails if too much is not taken.
    fn written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let buffer = &mut self.occupied.buffer;
        if result.is_pending() {
            self.stalled = Some(self.stalled.unwrap_or_else(Instant::now));
            buffer.hold_answers().map_err(|_| io::Error::other("too many bytes of answers are not read"))?;
        } else {
            self.stalled = None;
            buffer.release_answers();
        }
        result
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.watch(context)?;
        let before = buffer.filled().len();
        let this = &mut *self;
        let result = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.connection.count(buffer.filled().len() - before, &mut this.occupied.buffer)?;
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.watch(context)?;
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watch(context)?;
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::admission::MAX_HEAD;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn watched() -> (Watched<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<Connection>) {
        watched_in(&Buffers::default())
    }

    fn watched_in(
        buffers: &Buffers,
    ) -> (Watched<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<Connection>) {
        let (server, client) = duplex(64);
        let connection = Arc::new(Connection::new());
        let buffer = buffers.of_connection([192, 0, 2, 1].into(), Class::Stranger);
        let occupied = Occupied { _share: None, buffer };
        (Watched::new(server, Arc::clone(&connection), occupied), client, connection)
    }

    // finding: S4
    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_no_byte_is_given_up() {
        let (mut server, _client, _) = watched();
        let begun = Instant::now();
        let error = server.write_all(&[0; 1000]).await.expect_err("64 bytes fit");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < WRITE_TIME + 2 * CHECK);
    }

    // finding: S22
    #[tokio::test]
    async fn a_head_that_finds_no_memory_ends_the_connection_and_a_body_does_not() {
        let buffers = Buffers::default();
        let long = || {
            let mut buffer = buffers.of_connection([192, 0, 2, 1].into(), Class::Stranger);
            buffer.grow_head(MAX_HEAD).is_ok().then_some(buffer)
        };
        let _held: Vec<_> = std::iter::from_fn(long).collect();
        for (is_body, is_read) in [(false, false), (true, true)] {
            let (mut server, mut client, connection) = watched_in(&buffers);
            let _request = is_body.then(|| connection.begin());
            tokio::spawn(async move { client.write_all(&[b'x'; MAX_HEAD]).await });
            let read = server.read_exact(&mut [0; MAX_HEAD]).await;
            assert_eq!(read.is_ok(), is_read);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_that_reads_is_served() {
        let (mut server, mut client, _) = watched();
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            while client.read_exact(&mut byte).await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
        });
        server.write_all(&[0; 200]).await.expect("the client reads");
        drop(server);
        reading.await.expect("ends");
    }

    // finding: S4
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waits_too_long_ends_the_connection_and_one_that_is_read_does_not() {
        let (mut server, client, connection) = watched();
        drop(connection.begin().answer(Body::from("read"), None));
        let unread = connection.begin().answer(Body::from("not read"), None);
        let begun = Instant::now();
        let error = server.read_u8().await.expect_err("nothing is sent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((ANSWER_TIME..ANSWER_TIME + 2 * CHECK).contains(&begun.elapsed()));
        drop((unread, client));
        assert_eq!(connection.progress.lock().requests, 0);
        assert!(connection.progress.lock().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_and_one_with_a_request_under_way_is_not() {
        let (mut server, _client, connection) = watched();
        let request = connection.begin();
        let under_way = tokio::time::timeout(MAX_AGE, server.read_u8()).await;
        assert!(under_way.is_err(), "the request is not answered yet");
        drop(request);
        let begun = Instant::now();
        assert!(server.read_u8().await.is_err());
        assert!(begun.elapsed() < IDLE_TIME + 2 * CHECK);
    }
}
