//! What strangers may occupy at once: connections, requests, and bytes of bodies on their way.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum_server::Handle;
use axum_server::accept::Accept;
use http_body::{Frame, SizeHint};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::respond::Problem;

/// Most connections; each takes some kilobytes, and 64 KiB while it sends a long head. Fewer where the
/// system allows fewer open files.
const CONNECTIONS: usize = 16_384;
/// Open files for everything else: the database, the providers.
const OTHER_FILES: usize = 256;
/// Most requests under way.
const REQUESTS: usize = 8_192;
/// Most of them that bring a body, which may come as slowly as its sender likes: for those without
/// one, a proxy's questions among them, there is always room.
const WITH_BODY: usize = 6_144;
/// Most bytes of bodies under way, counted as they come.
const BODIES: usize = 256 * 1024 * 1024;
/// Most bytes of one body: the longest token, in a form.
pub(super) const MAX_BODY: usize = 256 * 1024;
/// Most bytes of a request's head: what proxies let through.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// Requests under way, and the bytes of their bodies.
pub(super) struct Places {
    requests: Semaphore,
    with_body: Semaphore,
    bodies: Arc<AtomicUsize>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            requests: Semaphore::new(REQUESTS),
            with_body: Semaphore::new(WITH_BODY),
            bodies: Arc::default(),
        }
    }
}

impl Places {
    /// A place for a request, until it is dropped; none to wait for.
    pub(super) fn take(&self, request: &Request) -> Result<Place<'_>, Problem> {
        let of_body = match request.body().is_end_stream() {
            true => None,
            false => Some(self.with_body.try_acquire().map_err(|_| Problem::Busy)?),
        };
        Ok(Place(self.requests.try_acquire().map_err(|_| Problem::Busy)?, of_body))
    }

    /// Counts a body as it comes, until the request is done with and the result dropped.
    pub(super) fn count(&self, request: Request) -> (Request, Arc<Counted>) {
        let counted = Arc::new(Counted {
            own: AtomicUsize::new(0),
            all: Arc::clone(&self.bodies),
            full: AtomicBool::new(false),
        });
        if request.body().is_end_stream() {
            return (request, counted);
        }
        let counting = Arc::clone(&counted);
        let request = request.map(|body| Body::new(CountedBody { body, counting }));
        (request, counted)
    }
}

/// A request's place; free again when this is dropped.
pub(super) struct Place<'p>(
    #[expect(dead_code, reason = "held")] SemaphorePermit<'p>,
    #[expect(dead_code, reason = "held")] Option<SemaphorePermit<'p>>,
);

/// What has come of one body.
pub(super) struct Counted {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
    full: AtomicBool,
}

impl Counted {
    /// Whether the body was refused because there were too many bytes in all.
    pub(super) fn refused(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) -> bool {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        let full = self.all.fetch_add(bytes, Ordering::Relaxed) + bytes > BODIES;
        self.full.fetch_or(full, Ordering::Relaxed);
        !full
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.own.get_mut(), Ordering::Relaxed);
    }
}

struct CountedBody {
    body: Body,
    counting: Arc<Counted>,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        if self.counting.add(bytes) {
            Poll::Ready(frame)
        } else {
            Poll::Ready(Some(Err(axum::Error::new(Problem::Busy))))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Lets no more connections in than there are places; what is beyond is closed at once.
#[derive(Clone)]
pub(super) struct Door<A> {
    inner: A,
    handle: Handle<SocketAddr>,
    places: usize,
}

impl<A> Door<A> {
    pub(super) fn new(inner: A, handle: Handle<SocketAddr>) -> Self {
        let places = open_files().map_or(CONNECTIONS, |most| most.saturating_sub(OTHER_FILES));
        Self { inner, handle, places: places.clamp(64, CONNECTIONS) }
    }
}

impl<A, I, S> Accept<I, S> for Door<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
    A::Stream: Send + 'static,
    A::Service: Send + 'static,
{
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(A::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        // This one is counted already.
        if self.handle.connection_count() > self.places {
            return Box::pin(ready(Err(io::Error::other("too many connections"))));
        }
        Box::pin(self.inner.accept(stream, service))
    }
}

/// How many files this process may have open, where the system says so.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_bodies_leave_room_for_requests_without_one() {
        let places = Places::default();
        let with_body = Request::new(Body::from("logout_token="));
        let without = Request::new(Body::empty());
        let mut held: Vec<_> = (0..WITH_BODY).map(|_| places.take(&with_body).ok()).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(matches!(places.take(&with_body), Err(Problem::Busy)));
        held.extend((WITH_BODY..REQUESTS).map(|_| places.take(&without).ok()));
        assert!(held.iter().all(Option::is_some));
        assert!(matches!(places.take(&without), Err(Problem::Busy)));
        held.clear();
        assert!(places.take(&with_body).is_ok());
    }
}
