//! Admission control: limits on concurrent connections, requests and bytes of request bodies.

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

use super::problem::Problem;

/// Most connections. Each takes some kilobytes, and 64 KiB while it sends a long head. Fewer if the
/// system allows fewer open files.
const CONNECTIONS: usize = 16_384;
/// Files kept open for other uses: the database, calls to providers.
const OTHER_FILES: usize = 256;
/// Most concurrent requests.
const REQUESTS: usize = 8_192;
/// Most concurrent requests with a body, which may arrive slowly. The rest of the capacity is for
/// requests without one, such as a proxy's forward-auth.
const REQUESTS_WITH_BODY: usize = 6_144;
/// Most bytes of the bodies of all concurrent requests, counted as they arrive.
const BODY_BYTES: usize = 256 * 1024 * 1024;
/// Most bytes of one body: the longest token, in a form.
pub(super) const MAX_BODY: usize = 256 * 1024;
/// Most bytes of a request's head: as much as common proxies allow.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// The capacity for requests and their bodies.
pub(crate) struct Admission {
    requests: Semaphore,
    requests_with_body: Semaphore,
    body_bytes: Arc<AtomicUsize>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            requests: Semaphore::new(REQUESTS),
            requests_with_body: Semaphore::new(REQUESTS_WITH_BODY),
            body_bytes: Arc::default(),
        }
    }
}

impl Admission {
    /// Admits a request for as long as the permit lives.
    ///
    /// # Errors
    /// [`Problem::Busy`], at once.
    pub(super) fn admit(&self, request: &Request) -> Result<Permit<'_>, Problem> {
        let body = match request.body().is_end_stream() {
            true => None,
            false => Some(self.requests_with_body.try_acquire().map_err(|_| Problem::Busy)?),
        };
        let request = self.requests.try_acquire().map_err(|_| Problem::Busy)?;
        Ok(Permit { _request: request, _body: body })
    }

    /// Meters the body of a request. Its bytes count until the meter is dropped.
    pub(super) fn meter(&self, request: Request) -> (Request, Arc<BodyMeter>) {
        let meter = Arc::new(BodyMeter {
            bytes: AtomicUsize::new(0),
            total: Arc::clone(&self.body_bytes),
            refused: AtomicBool::new(false),
        });
        if request.body().is_end_stream() {
            return (request, meter);
        }
        let of_body = Arc::clone(&meter);
        (request.map(|body| Body::new(MeteredBody { body, meter: of_body })), meter)
    }
}

/// The permit of an admitted request; dropping it returns the capacity.
pub(super) struct Permit<'p> {
    _request: SemaphorePermit<'p>,
    _body: Option<SemaphorePermit<'p>>,
}

/// The bytes that have arrived of one body.
pub(super) struct BodyMeter {
    bytes: AtomicUsize,
    total: Arc<AtomicUsize>,
    refused: AtomicBool,
}

impl BodyMeter {
    /// Reports whether the body was refused because all bodies together exceeded the limit.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Adds bytes. Returns `false` if all bodies together now exceed the limit.
    fn add(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let exceeded = self.total.fetch_add(bytes, Ordering::Relaxed) + bytes > BODY_BYTES;
        self.refused.fetch_or(exceeded, Ordering::Relaxed);
        !exceeded
    }
}

impl Drop for BodyMeter {
    fn drop(&mut self) {
        self.total.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

struct MeteredBody {
    body: Body,
    meter: Arc<BodyMeter>,
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        if self.meter.add(bytes) {
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

/// An acceptor that closes connections beyond a limit at once.
#[derive(Clone)]
pub(super) struct ConnectionLimit<A> {
    inner: A,
    handle: Handle<SocketAddr>,
    limit: usize,
}

impl<A> ConnectionLimit<A> {
    /// Limits an acceptor to [`CONNECTIONS`], or to the open files that the system allows.
    pub(super) fn new(inner: A, handle: Handle<SocketAddr>) -> Self {
        let limit = max_open_files().map_or(CONNECTIONS, |most| most.saturating_sub(OTHER_FILES));
        Self { inner, handle, limit: limit.clamp(64, CONNECTIONS) }
    }
}

impl<A, I, S> Accept<I, S> for ConnectionLimit<A>
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
        // The count includes this connection.
        if self.handle.connection_count() > self.limit {
            return Box::pin(ready(Err(io::Error::other("too many connections"))));
        }
        Box::pin(self.inner.accept(stream, service))
    }
}

/// Returns the number of files that this process may have open, on Linux.
fn max_open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_bodies_leave_capacity_for_requests_without_one() {
        let admission = Admission::default();
        let with_body = Request::new(Body::from("logout_token="));
        let without = Request::new(Body::empty());
        let mut held: Vec<_> = (0..REQUESTS_WITH_BODY).map(|_| admission.admit(&with_body).ok()).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(matches!(admission.admit(&with_body), Err(Problem::Busy)));
        held.extend((REQUESTS_WITH_BODY..REQUESTS).map(|_| admission.admit(&without).ok()));
        assert!(held.iter().all(Option::is_some));
        assert!(matches!(admission.admit(&without), Err(Problem::Busy)));
        held.clear();
        assert!(admission.admit(&with_body).is_ok());
    }
}
