//! The places for connections: how many there may be, in all and by client address.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::shares::{Class, Share, Shares};

/// Most connections; fewer if the system allows fewer open files.
const CONNECTIONS: usize = 16_384;
/// Most connections of one client address; a sixteenth of all, if that is less. Loopback and trusted proxies
/// are not limited: forwarded requests count by client.
const CONNECTIONS_BY_ADDRESS: usize = 256;
/// Time after which a connection beyond the share of its address is closed. A client that opens connections again and
/// again opens fewer: each of its attempts takes this long.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);
/// Most connections that wait to be closed; a sixteenth of all, if that is less. Others are closed at once.
const WAITING_REFUSALS: usize = 1_024;
/// Most connections of one address in a provider's `logout_from`; a quarter of all, if that is less.
const CONNECTIONS_BY_PROVIDER: usize = 1_024;
/// One connection in so many is kept for loopback, trusted proxies and the addresses in `logout_from`.
const RESERVED: usize = 8;
/// Files kept open for other uses: the database, calls to providers.
const OTHER_FILES: usize = 256;
/// Files that a server with so many connections may have open.
pub(super) const MAX_FILES: usize = CONNECTIONS + OTHER_FILES;
/// The places for connections.
#[derive(Clone)]
pub(super) struct Places {
    limit: usize,
    by_address: Shares,
    by_provider: Shares,
    /// Places for connections that wait to be closed.
    waiting: Arc<Semaphore>,
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are too many in all.
    All,
    /// There are too many of the address.
    Share,
}

/// Returns the most connections of a server that may have so many files open.
pub(super) fn most(open_files: usize) -> usize {
    open_files.saturating_sub(OTHER_FILES).clamp(64, CONNECTIONS)
}

impl Places {
    pub(super) fn new(open_files: usize) -> Self {
        let limit = most(open_files);
        Self {
            limit,
            by_address: Shares::new(limit, CONNECTIONS_BY_ADDRESS.min(limit / 16)),
            by_provider: Shares::new(limit, CONNECTIONS_BY_PROVIDER.min(limit / 4)),
            waiting: Arc::new(Semaphore::new(WAITING_REFUSALS.min(limit / 16))),
        }
    }

    /// Takes a place for the last of `count` connections. A trusted peer has no share.
    pub(super) fn take(&self, peer: IpAddr, class: Class, count: usize) -> Result<Option<Share>, Refused> {
        let limit = if class == Class::Stranger { self.limit - self.limit / RESERVED } else { self.limit };
        if count > limit {
            return Err(Refused::All);
        }
        let shares = match class {
            Class::Trusted => return Ok(None),
            Class::Provider => &self.by_provider,
            Class::Stranger => &self.by_address,
        };
        shares.take(peer, 1).map(Some).map_err(|_| Refused::Share)
    }

    /// Keeps the connection that is refused open, if there is a place for it to wait, and returns the error to
    /// close it with.
    pub(super) async fn refuse(&self, refused: Refused) -> io::Error {
        if refused == Refused::Share
            && let Ok(_place) = self.waiting.try_acquire()
        {
            sleep(REFUSAL_PAUSE).await;
        }
        io::Error::other("too many connections")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    // finding: S4
    #[test]
    fn one_address_has_its_share_of_connections_and_proxies_have_some_left() {
        let (stranger, proxy) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let places = Places::new(MAX_FILES);
        let held: Vec<_> =
            (1..=CONNECTIONS_BY_ADDRESS).map(|count| places.take(stranger, Class::Stranger, count)).collect();
        assert!(held.iter().all(|place| matches!(place, Ok(Some(_)))));
        assert!(places.take(stranger, Class::Stranger, held.len() + 1).is_err());
        assert!(places.take(IpAddr::from([192, 0, 2, 3]), Class::Stranger, held.len() + 1).is_ok());
        drop(held);
        assert!(places.take(stranger, Class::Stranger, 1).is_ok());
        let full = CONNECTIONS - CONNECTIONS / RESERVED + 1;
        assert!(places.take(stranger, Class::Stranger, full).is_err());
        assert!(places.take(proxy, Class::Trusted, full).is_ok());
        assert!(places.take(proxy, Class::Trusted, CONNECTIONS + 1).is_err());
        let provider: Vec<_> =
            (1..=CONNECTIONS_BY_PROVIDER).map(|_| places.take(proxy, Class::Provider, full)).collect();
        assert!(provider.iter().all(|place| matches!(place, Ok(Some(_)))));
        assert!(places.take(proxy, Class::Provider, full).is_err());
        // With few open files a share is a sixteenth.
        let few = Places::new(1_024);
        let held: Vec<_> = (1..=48).map(|count| few.take(stranger, Class::Stranger, count)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert!(few.take(stranger, Class::Stranger, 49).is_err());
    }

    // finding: S10
    #[tokio::test(start_paused = true)]
    async fn connections_beyond_a_share_are_closed_after_a_pause_unless_too_many_wait() {
        let places = Places::new(1_024);
        let begun = Instant::now();
        let waiting: Vec<_> = (0..48)
            .map(|_| {
                tokio::spawn({
                    let places = places.clone();
                    async move { places.refuse(Refused::Share).await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        places.refuse(Refused::Share).await;
        places.refuse(Refused::All).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for one in waiting {
            one.await.expect("ends");
        }
        assert_eq!(begun.elapsed(), REFUSAL_PAUSE);
    }
}
