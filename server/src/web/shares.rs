//! Shares: how much of one resource all clients together hold, and how much each address may.
//!
//! Every resource that a stranger can occupy is counted by one [`Shares`]. An address never holds more
//! than its share, so that one client alone cannot use up what the others need.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::client_address::subscriber;

/// A resource of which clients hold parts.
#[derive(Clone)]
pub(super) struct Shares {
    limit: usize,
    by_address: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// What is known of a peer from its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Loopback, and the proxies that the configuration trusts.
    Trusted,
    /// In a provider's `logout_from`.
    Provider,
    Stranger,
}

/// The reason why a part is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exhausted {
    /// The address would hold more than its share.
    Share,
    /// All clients together would hold more than there is.
    All,
}

impl Shares {
    /// Makes a resource of `limit` parts, of which one address may hold `by_address`.
    pub(super) fn new(limit: usize, by_address: usize) -> Self {
        Self { limit, by_address, held: Arc::default() }
    }

    /// Takes parts for an address, for as long as the result lives.
    ///
    /// # Errors
    /// [`Exhausted`], at once.
    pub(super) fn take(&self, address: IpAddr, parts: usize) -> Result<Share, Exhausted> {
        let mut share = Share { address: subscriber(address), parts: 0, shares: self.clone() };
        share.grow(parts)?;
        Ok(share)
    }
}

/// The parts that are held for one piece of work. Dropping it returns them.
pub(super) struct Share {
    address: IpAddr,
    parts: usize,
    shares: Shares,
}

impl Share {
    /// Returns the address that holds the parts.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the number of parts held.
    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// Takes further parts.
    ///
    /// # Errors
    /// [`Exhausted`]; the parts held before are kept.
    pub(super) fn grow(&mut self, parts: usize) -> Result<(), Exhausted> {
        let mut held = self.shares.held.lock();
        let of_address = held.by_address.get(&self.address).copied().unwrap_or_default();
        if of_address.saturating_add(parts) > self.shares.by_address {
            return Err(Exhausted::Share);
        }
        if held.total.saturating_add(parts) > self.shares.limit {
            return Err(Exhausted::All);
        }
        held.total += parts;
        if of_address + parts > 0 {
            held.by_address.insert(self.address, of_address + parts);
        }
        self.parts += parts;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock();
        held.total -= self.parts;
        let of_address = held.by_address.get(&self.address).copied().unwrap_or_default();
        if of_address > self.parts {
            held.by_address.insert(self.address, of_address - self.parts);
        } else {
            held.by_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    // finding: S10, S21
    #[test]
    fn one_address_holds_its_share_and_no_more() {
        let shares = Shares::new(5, 2);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let held: Vec<_> = (0..2).map(|_| shares.take(one, 1).expect("within the share")).collect();
        assert_eq!(shares.take(one, 1).err(), Some(Exhausted::Share));
        let of_other = shares.take(other, 2).expect("another address has a share of its own");
        assert_eq!(shares.take(address("192.0.2.3"), 2).err(), Some(Exhausted::All));
        drop(held);
        assert!(shares.take(one, 2).is_ok());
        drop(of_other);
        let state = shares.held.lock();
        assert_eq!(
            (state.total, state.by_address.len()),
            (0, 0),
            "nothing is remembered of who holds nothing"
        );
    }

    #[test]
    fn a_share_grows_up_to_the_limit_and_keeps_what_it_has() {
        let shares = Shares::new(10, 4);
        let mut share = shares.take(address("2001:db8::1"), 0).expect("nothing is held");
        assert_eq!(share.grow(3), Ok(()));
        assert_eq!(share.grow(2), Err(Exhausted::Share));
        // The /56 network is one address.
        assert_eq!(shares.take(address("2001:db8::2"), 2).err(), Some(Exhausted::Share));
        assert!(shares.take(address("2001:db8::2"), 1).is_ok());
        drop(share);
        assert_eq!(shares.held.lock().total, 0);
    }
}
