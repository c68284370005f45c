//! Admission control: what concurrent requests and their bodies occupy, in all and by client address.
//!
//! A request gets a place once it has arrived as a whole, its body included; until then only its bytes count.
//! Forward-auth, probes and back-channel logout have places of their own, which no other request can take; a
//! provider's logouts have some in addition to those of all. The place is returned when all that the request caused
//! is gone: the handler, a logout in its queue, and the response body, which a client may refuse to read.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::{HeaderName, HeaderValue, Method, Version, request, uri};

use super::problem::Problem;
use super::shares::{Exhausted, Share, Shares};

/// Most concurrent requests of forward-auth, which proxies send for every request of an application.
const FORWARD_AUTH_REQUESTS: usize = 2_048;
/// Most concurrent probes and scrapes: `/healthz`, `/readyz`, `/metrics`.
const PROBES: usize = 256;
/// Most concurrent back-channel logouts, those included that wait for verification or for the store after
/// their client has hung up.
const LOGOUTS: usize = 8_192;
/// Most concurrent logouts from the addresses in a provider's `logout_from`, in addition: no other client can take
/// these places. One address has a quarter of them, and beyond that those of any client.
const PROVIDER_LOGOUTS: usize = 4_096;
/// Most bytes of these logouts. One address has a quarter of them, and beyond that those of any client.
pub(super) const PROVIDER_BYTES: usize = 32 * 1024 * 1024;
/// Of the places and bytes of these logouts, one address may have one part in so many.
const PROVIDER_SHARE: usize = 4;
/// Most concurrent requests of any other kind.
pub(super) const OTHER_REQUESTS: usize = 2_048;
/// Of each kind of request, one address may have one part in so many.
const REQUEST_SHARE: usize = 8;
/// Most bytes of all concurrent requests with a body, heads included, counted as they arrive.
pub(super) const BODY_BYTES: usize = 64 * 1024 * 1024;
/// Most of these bytes from one address.
const BODY_BYTES_BY_ADDRESS: usize = 8 * 1024 * 1024;
/// Most bytes of one body: the longest token, in a form.
pub(super) const MAX_BODY: usize = 256 * 1024;
/// Longest time for a whole body to arrive.
const BODY_TIME: Duration = Duration::from_secs(5);
/// Most bytes of a request's head: as much as common proxies allow.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// Most refusals that wait before they are answered; further ones are answered at once. A proxy has a connection open
/// for each of its clients'.
const WAITING_REFUSALS: usize = 4_096;
/// Most of these of one address: as many as it may have connections.
const WAITING_REFUSALS_BY_ADDRESS: usize = 256;
/// Most fields of a request's head. HTTP/2 compresses a field to one byte.
const MAX_FIELDS: usize = 100;
/// Bytes that a field takes beside its name and its value.
const FIELD_BYTES: usize = 100;

/// The paths of back-channel logout.
pub(super) const LOGOUT_PATHS: [&str; 3] =
    ["/backchannel-logout", "/api/v1/backchannelLogout", "/api/v1/Oidc/backchannelLogout"];

/// The path of front-channel logout.
pub(super) const FRONT_CHANNEL_PATH: &str = "/api/v1/frontchannelLogout";

/// The path of pushed security events.
pub(super) const SECURITY_EVENTS_PATH: &str = "/api/v1/securityEvents/{provider}";

/// The kinds of requests that have places of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    ForwardAuth,
    Probe,
    Logout,
    /// A logout from an address that the configuration names as a provider's.
    ProviderLogout,
    Other,
}

impl Purpose {
    /// Returns the purpose of a route, given without the path of `public_url`.
    pub(super) fn of(route: &str) -> Self {
        match route {
            "/auth" => Purpose::ForwardAuth,
            _ if route.starts_with("/auth/redirect") => Purpose::ForwardAuth,
            "/healthz" | "/readyz" | "/metrics" => Purpose::Probe,
            FRONT_CHANNEL_PATH | SECURITY_EVENTS_PATH => Purpose::Logout,
            _ if LOGOUT_PATHS.contains(&route) => Purpose::Logout,
            _ => Purpose::Other,
        }
    }
}

/// The places for requests, and the bytes of their bodies.
pub(crate) struct Admission {
    forward_auth: Shares,
    probes: Shares,
    logouts: Shares,
    provider_logouts: Shares,
    others: Shares,
    body_bytes: Shares,
    provider_bytes: Shares,
    waiting_refusals: Shares,
}

impl Default for Admission {
    fn default() -> Self {
        let requests = |limit| Shares::new(limit, limit / REQUEST_SHARE);
        Self {
            forward_auth: requests(FORWARD_AUTH_REQUESTS),
            probes: requests(PROBES),
            logouts: requests(LOGOUTS),
            provider_logouts: Shares::new(PROVIDER_LOGOUTS, PROVIDER_LOGOUTS / PROVIDER_SHARE),
            others: requests(OTHER_REQUESTS),
            body_bytes: Shares::new(BODY_BYTES, BODY_BYTES_BY_ADDRESS),
            provider_bytes: Shares::new(PROVIDER_BYTES, PROVIDER_BYTES / PROVIDER_SHARE),
            waiting_refusals: Shares::new(WAITING_REFUSALS, WAITING_REFUSALS_BY_ADDRESS),
        }
    }
}

impl Admission {
    /// Admits a request once its body has arrived; the handler then gets the whole body. A body that no
    /// handler reads is not waited for. The permit is also an extension of the request.
    ///
    /// # Errors
    /// [`Problem::TooManyFields`]; [`Problem::BadRequest`] for a request without one valid `Host`;
    /// [`Problem::TooManyRequests`] and [`Problem::Busy`], at once; [`Problem::TooLarge`]; [`Problem::SlowBody`].
    pub(super) async fn admit(
        &self,
        request: Request,
        purpose: Purpose,
        address: IpAddr,
    ) -> Result<(Request, Permit), Problem> {
        let (mut head, body) = request.into_parts();
        if head.headers.len() > MAX_FIELDS {
            return Err(Problem::TooManyFields);
        }
        check_host(&head)?;
        let takes_body = purpose != Purpose::ForwardAuth
            && matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        let (body, bytes) = match takes_body && !body.is_end_stream() {
            true => {
                let bytes = self.bytes(purpose);
                let mut held = bytes.take(address, size(&head))?;
                let body = tokio::time::timeout(BODY_TIME, read(body, &mut held, &bytes)).await;
                (Body::from(body.map_err(|_| Problem::SlowBody)??), Some(held))
            }
            false => (Body::empty(), None),
        };
        let place = self.places(purpose).take(address, 1)?;
        let permit = Permit(Arc::new(Held { _place: place, _bytes: bytes }));
        head.extensions.insert(permit.clone());
        Ok((Request::from_parts(head, body), permit))
    }

    /// Returns the place of a refusal that waits before it is answered; `None` if it is to be answered at once.
    pub(super) fn refusal_to_wait(&self, address: IpAddr) -> Option<Share> {
        self.waiting_refusals.take(address, 1).ok()
    }

    fn places(&self, purpose: Purpose) -> Supply<'_> {
        match purpose {
            Purpose::ForwardAuth => Supply::of(&self.forward_auth),
            Purpose::Probe => Supply::of(&self.probes),
            Purpose::Logout => Supply::of(&self.logouts),
            Purpose::ProviderLogout => Supply { first: &self.provider_logouts, then: &self.logouts },
            Purpose::Other => Supply::of(&self.others),
        }
    }

    fn bytes(&self, purpose: Purpose) -> Supply<'_> {
        match purpose {
            Purpose::ProviderLogout => Supply { first: &self.provider_bytes, then: &self.body_bytes },
            _ => Supply::of(&self.body_bytes),
        }
    }
}

/// What a purpose takes its parts from.
struct Supply<'a> {
    first: &'a Shares,
    /// Used by an address for which nothing is left of the first; the same if there is no other.
    then: &'a Shares,
}

impl<'a> Supply<'a> {
    fn of(shares: &'a Shares) -> Self {
        Self { first: shares, then: shares }
    }

    fn take(&self, address: IpAddr, parts: usize) -> Result<Share, Exhausted> {
        self.first.take(address, parts).or_else(|_| self.then.take(address, parts))
    }

    /// Takes further parts. If nothing is left of the first resource, the second gives all parts and those held of
    /// the first are returned.
    fn grow(&self, held: &mut Share, parts: usize) -> Result<(), Exhausted> {
        held.grow(parts).or_else(|_| {
            *held = self.then.take(held.address(), held.parts() + parts)?;
            Ok(())
        })
    }
}

/// The permit of an admitted request. Its place and its bytes are returned when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Permit(#[expect(dead_code, reason = "held, not read")] Arc<Held>);

struct Held {
    _place: Share,
    _bytes: Option<Share>,
}

/// Rejects a request without exactly one valid `Host` (RFC 9112 §3.2). HTTP/2 has `:authority`, and HTTP/1.0
/// does not require it.
fn check_host(head: &request::Parts) -> Result<(), Problem> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let valid = match (hosts.next(), hosts.next()) {
        (None, _) => head.version != Version::HTTP_11,
        (Some(host), None) => {
            let host = host.as_bytes();
            host.is_empty() || (!host.contains(&b'@') && uri::Authority::try_from(host).is_ok())
        }
        (Some(_), Some(_)) => false,
    };
    if valid { Ok(()) } else { Err(Problem::BadRequest("a request names exactly one host")) }
}

/// Returns the bytes that a request's head takes, approximately.
fn size(head: &request::Parts) -> usize {
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + FIELD_BYTES;
    let fields: usize = head.headers.iter().map(bytes).sum();
    head.uri.path_and_query().map_or(0, |path| path.as_str().len()) + fields
}

/// Reads a body; its bytes are added to `held` as they arrive.
async fn read(mut body: Body, held: &mut Share, bytes: &Supply<'_>) -> Result<Bytes, Problem> {
    let mut read = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Problem::BadRequest("the request body did not arrive as a whole"))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > MAX_BODY {
            return Err(Problem::TooLarge);
        }
        bytes.grow(held, data.len())?;
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn post(body: impl Into<Body>) -> Request {
        Request::post("/").header(HOST, "sso.example.com").body(body.into()).expect("a request")
    }

    async fn admit(admission: &Admission, purpose: Purpose, last: u8) -> Result<Permit, Problem> {
        admission.admit(post("x=y"), purpose, address(last)).await.map(|(_, permit)| permit)
    }

    // finding: S10
    #[test]
    fn every_path_of_a_logout_has_the_places_of_logouts() {
        for path in LOGOUT_PATHS {
            assert_eq!(Purpose::of(path), Purpose::Logout);
        }
        assert_eq!(Purpose::of(FRONT_CHANNEL_PATH), Purpose::Logout);
        assert_eq!(Purpose::of(SECURITY_EVENTS_PATH), Purpose::Logout);
        let reference = include_str!("../../../docs/reference/http.md");
        let documented = reference.lines().find(|line| line.contains(&format!("POST {}`", LOGOUT_PATHS[1])));
        let documented = documented.expect("a line that names the paths");
        assert!(
            LOGOUT_PATHS.iter().all(|path| documented.contains(&format!("`POST {path}`"))),
            "{documented}"
        );
    }

    // finding: S10, S21, S22
    #[tokio::test]
    async fn strangers_leave_places_for_others_and_for_other_purposes() {
        let admission = Admission::default();
        let mut held = Vec::new();
        for last in 0..8 {
            for _ in 0..OTHER_REQUESTS / REQUEST_SHARE {
                held.push(admit(&admission, Purpose::Other, last).await.expect("within the share"));
            }
            let beyond = admit(&admission, Purpose::Other, last).await;
            assert!(matches!(beyond, Err(Problem::TooManyRequests)));
        }
        assert!(matches!(admit(&admission, Purpose::Other, 9).await, Err(Problem::Busy)));
        for purpose in [Purpose::ForwardAuth, Purpose::Probe, Purpose::Logout] {
            assert!(admit(&admission, purpose, 0).await.is_ok());
        }
        drop(held);
        assert!(admit(&admission, Purpose::Other, 9).await.is_ok());
    }

    // finding: S10
    #[tokio::test]
    async fn a_provider_has_places_for_logouts_that_strangers_cannot_take() {
        let admission = Admission::default();
        let mut held = Vec::new();
        for last in 0..8 {
            for _ in 0..LOGOUTS / REQUEST_SHARE {
                held.push(admit(&admission, Purpose::Logout, last).await.expect("within the share"));
            }
        }
        assert!(matches!(admit(&admission, Purpose::Logout, 9).await, Err(Problem::Busy)));
        for last in 9..9 + 4 {
            for _ in 0..PROVIDER_LOGOUTS / PROVIDER_SHARE {
                held.push(admit(&admission, Purpose::ProviderLogout, last).await.expect("a quarter"));
            }
            assert!(matches!(admit(&admission, Purpose::ProviderLogout, last).await, Err(Problem::Busy)));
        }
    }

    // finding: S10
    #[tokio::test]
    async fn a_provider_beyond_its_share_has_that_of_a_stranger_and_leaves_others_theirs() {
        let admission = Admission::default();
        let mut held = Vec::new();
        for _ in 0..PROVIDER_LOGOUTS / PROVIDER_SHARE + LOGOUTS / REQUEST_SHARE {
            held.push(admit(&admission, Purpose::ProviderLogout, 1).await.expect("both shares"));
        }
        assert!(matches!(admit(&admission, Purpose::ProviderLogout, 1).await, Err(Problem::TooManyRequests)));
        assert!(admit(&admission, Purpose::ProviderLogout, 2).await.is_ok());
        assert!(admit(&admission, Purpose::Logout, 3).await.is_ok());
    }

    // finding: S10
    #[tokio::test]
    async fn the_bytes_of_a_provider_are_a_quarter_and_then_those_of_a_stranger() {
        let admission = Admission::default();
        let large =
            |last| admission.admit(post(vec![b'x'; MAX_BODY]), Purpose::ProviderLogout, address(last));
        let mut held = Vec::new();
        let refused = loop {
            match large(1).await {
                Ok((_, permit)) => held.push(permit),
                Err(problem) => break problem,
            }
        };
        assert!(matches!(refused, Problem::TooManyRequests));
        let of_both =
            (PROVIDER_BYTES / PROVIDER_SHARE / MAX_BODY - 1) + (BODY_BYTES_BY_ADDRESS / MAX_BODY - 1);
        assert_eq!(held.len(), of_both);
        assert!(large(2).await.is_ok());
        drop(held);
        assert!(large(1).await.is_ok());
    }

    // finding: S21
    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_takes_no_place_and_is_given_up() {
        let admission = Admission::default();
        let body = || Body::new(Silent);
        let waiting: Vec<_> = (0..LOGOUTS / REQUEST_SHARE + 1)
            .map(|_| admission.admit(post(body()), Purpose::Logout, address(1)))
            .collect();
        let genuine = admit(&admission, Purpose::Logout, 1).await;
        assert!(genuine.is_ok());
        for slow in waiting {
            assert!(matches!(slow.await, Err(Problem::SlowBody)));
        }
    }

    /// A body that never arrives.
    struct Silent;

    impl HttpBody for Silent {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
            std::task::Poll::Pending
        }
    }

    #[tokio::test]
    async fn the_bytes_of_bodies_are_bounded_by_address_for_as_long_as_they_are_kept() {
        let admission = Admission::default();
        let large = || admission.admit(post(vec![b'x'; MAX_BODY]), Purpose::Logout, address(1));
        let mut held = Vec::new();
        let refused = loop {
            match large().await {
                Ok((request, permit)) => {
                    drop(request);
                    held.push(permit);
                }
                Err(problem) => break problem,
            }
        };
        assert!(matches!(refused, Problem::TooManyRequests));
        assert_eq!(held.len(), BODY_BYTES_BY_ADDRESS / MAX_BODY - 1);
        held.clear();
        assert!(large().await.is_ok());
        let beyond = admission.admit(post(vec![b'x'; MAX_BODY + 1]), Purpose::Logout, address(1));
        assert!(matches!(beyond.await, Err(Problem::TooLarge)));
    }

    // finding: S10
    #[test]
    fn the_refusals_of_one_address_that_wait_are_no_more_than_its_connections() {
        let admission = Admission::default();
        let held: Vec<_> = std::iter::from_fn(|| admission.refusal_to_wait(address(1))).collect();
        assert_eq!(held.len(), WAITING_REFUSALS_BY_ADDRESS);
        assert!(admission.refusal_to_wait(address(2)).is_some());
    }

    /// HTTP/1 limits the fields before, HTTP/2 does not.
    #[tokio::test]
    async fn a_request_has_at_most_a_hundred_fields_and_each_counts() {
        let admission = Admission::default();
        for (fields, is_admitted) in [(MAX_FIELDS, true), (MAX_FIELDS + 1, false)] {
            let mut request = post("x=y");
            for number in request.headers().len()..fields {
                let name = HeaderName::try_from(format!("x-{number}")).expect("a name");
                request.headers_mut().insert(name, HeaderValue::from_static(""));
            }
            let (head, _) = request.into_parts();
            assert!(size(&head) >= fields * FIELD_BYTES);
            let admitted = admission
                .admit(Request::from_parts(head, Body::from("x=y")), Purpose::Logout, address(1))
                .await;
            assert_eq!(matches!(admitted, Err(Problem::TooManyFields)), !is_admitted);
        }
    }

    // finding: S15
    #[tokio::test]
    async fn a_request_names_exactly_one_host() {
        let admission = Admission::default();
        for (hosts, version, accepted) in [
            (&["sso.example.com"][..], Version::HTTP_11, true),
            (&["[::1]:8080"], Version::HTTP_11, true),
            (&[""], Version::HTTP_11, true),
            (&[], Version::HTTP_11, false),
            (&[], Version::HTTP_10, true),
            (&[], Version::HTTP_2, true),
            (&["a.example", "a.example"], Version::HTTP_11, false),
            (&["a.example", "b.example"], Version::HTTP_10, false),
            (&["a.example", "b.example"], Version::HTTP_2, false),
            (&["user@a.example"], Version::HTTP_11, false),
            (&["a.example/path"], Version::HTTP_11, false),
            (&["a b"], Version::HTTP_11, false),
        ] {
            let mut request = Request::get("/auth").version(version);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let request = request.body(Body::empty()).expect("a request");
            let admitted = admission.admit(request, Purpose::ForwardAuth, address(1)).await;
            assert_eq!(admitted.is_ok(), accepted, "{hosts:?} {version:?}");
        }
    }
}
