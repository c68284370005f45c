//! What strangers may occupy at once: connections, requests, and bytes of bodies on their way.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use axum::body::HttpBody;
use axum::extract::Request;
use axum_server::Handle;
use axum_server::accept::Accept;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::respond::Problem;

/// Most connections; each takes some kilobytes, and 64 KiB while it sends a long head. Fewer where the
/// system allows fewer open files.
const CONNECTIONS: usize = 16_384;
/// Open files for everything else: the database, the providers.
const OTHER_FILES: usize = 256;
/// Most requests under way.
const REQUESTS: usize = 8_192;
/// Most bytes of bodies under way, in KiB: 256 MiB. A body counts by what its head announces, or in
/// full where it announces nothing.
const BODIES_KIB: usize = 256 * 1024;
/// Most bytes of one body: the longest token, in a form.
pub(super) const MAX_BODY: usize = 256 * 1024;
/// Most bytes of a request's head: what proxies let through.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// Requests under way.
pub(super) struct Places {
    requests: Semaphore,
    bodies: Semaphore,
}

impl Default for Places {
    fn default() -> Self {
        Self { requests: Semaphore::new(REQUESTS), bodies: Semaphore::new(BODIES_KIB) }
    }
}

impl Places {
    /// A place for a request, until it is dropped; none to wait for.
    pub(super) fn take(&self, request: &Request) -> Result<[SemaphorePermit<'_>; 2], Problem> {
        let hint = request.body().size_hint();
        let announced = hint.upper().and_then(|bytes| usize::try_from(bytes).ok());
        // More than the most is refused without being read.
        let kib = announced.unwrap_or(MAX_BODY).min(MAX_BODY).div_ceil(1024);
        let place = self.requests.try_acquire().map_err(|_| Problem::Busy)?;
        let body = self.bodies.try_acquire_many(u32::try_from(kib).expect("MAX_BODY in KiB is small"));
        Ok([place, body.map_err(|_| Problem::Busy)?])
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
