//! The memory of the connections' buffers, counted.
//!
//! The buffer of a connection holds a request's head until it is complete, and keeps its size for the next one;
//! another holds answers that the client does not read. Each connection has [`BUFFER`] bytes; what its longest
//! head and its unread answers take beyond them comes from a resource that all connections share.

use std::net::IpAddr;

use super::admission::MAX_HEAD;
use super::shares::{Class, Exhausted, Share, Shares};

/// Bytes of a head that each connection may hold without being counted. Few requests have longer heads.
const BUFFER: usize = 8 * 1024;
/// Most bytes of all buffers beyond that on the connections of strangers.
pub(super) const BUFFER_BYTES: usize = 64 * 1024 * 1024;
/// Most of these bytes on connections of one address.
const BUFFER_BYTES_BY_ADDRESS: usize = 8 * 1024 * 1024;
/// Most bytes of all buffers on connections from loopback and trusted proxies, beyond [`BUFFER`] each.
pub(super) const BUFFER_BYTES_BY_PROXIES: usize = 64 * 1024 * 1024;

/// Most bytes of all buffers on connections from the addresses in `logout_from`, beyond [`BUFFER`] each.
pub(super) const BUFFER_BYTES_BY_PROVIDERS: usize = 32 * 1024 * 1024;
/// Most of these bytes on connections of one such address.
const BUFFER_BYTES_BY_PROVIDER: usize = 8 * 1024 * 1024;

/// The bytes of all buffers.
#[derive(Clone)]
pub(super) struct Buffers {
    strangers: Shares,
    proxies: Shares,
    providers: Shares,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            strangers: Shares::new(BUFFER_BYTES, BUFFER_BYTES_BY_ADDRESS),
            proxies: Shares::new(BUFFER_BYTES_BY_PROXIES, BUFFER_BYTES_BY_PROXIES),
            providers: Shares::new(BUFFER_BYTES_BY_PROVIDERS, BUFFER_BYTES_BY_PROVIDER),
        }
    }
}

impl Buffers {
    /// Begins to count the buffers of a connection.
    pub(super) fn of_connection(&self, peer: IpAddr, class: Class) -> Buffer {
        let shares = match class {
            Class::Trusted => &self.proxies,
            Class::Provider => &self.providers,
            Class::Stranger => &self.strangers,
        };
        Buffer { address: peer, shares: shares.clone(), head: 0, longest: None, unread: None }
    }
}

/// The buffers of one connection.
pub(super) struct Buffer {
    address: IpAddr,
    shares: Shares,
    /// The bytes of the head that is arriving.
    head: usize,
    /// What the longest head takes.
    longest: Option<Share>,
    /// What answers take that are not read.
    unread: Option<Share>,
}

impl Buffer {
    /// Counts bytes of a head. They are held until the connection ends, as its buffer is.
    ///
    /// # Errors
    /// [`Exhausted`]: there is no memory for a head of this length.
    pub(super) fn grow_head(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.head += bytes;
        let counted = self.head.min(MAX_HEAD).saturating_sub(BUFFER);
        match &mut self.longest {
            Some(longest) => longest.grow(counted.saturating_sub(longest.parts())),
            None if counted == 0 => Ok(()),
            None => {
                self.longest = Some(self.shares.take(self.address, counted)?);
                Ok(())
            }
        }
    }

    /// Ends a head: the request has begun.
    pub(super) fn end_head(&mut self) {
        self.head = 0;
    }

    /// Counts the buffer of answers while the client does not read.
    ///
    /// # Errors
    /// [`Exhausted`]: there is no memory for it.
    pub(super) fn hold_answers(&mut self) -> Result<(), Exhausted> {
        if self.unread.is_none() {
            self.unread = Some(self.shares.take(self.address, MAX_HEAD)?);
        }
        Ok(())
    }

    /// Returns the memory of answers that have been read.
    pub(super) fn release_answers(&mut self) {
        self.unread = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// Opens connections with heads of this length until one is refused, and returns them.
    fn fill(buffers: &Buffers, peer: IpAddr, class: Class, length: usize) -> Vec<Buffer> {
        let mut held = Vec::new();
        loop {
            let mut buffer = buffers.of_connection(peer, class);
            if buffer.grow_head(length).is_err() {
                return held;
            }
            held.push(buffer);
        }
    }

    // finding: S22
    #[test]
    fn long_heads_of_one_address_leave_memory_for_others_for_proxies_and_for_providers() {
        let buffers = Buffers::default();
        let held = fill(&buffers, STRANGER, Class::Stranger, MAX_HEAD);
        assert_eq!(held.len(), BUFFER_BYTES_BY_ADDRESS / (MAX_HEAD - BUFFER));
        let mut ordinary = buffers.of_connection(STRANGER, Class::Stranger);
        assert_eq!(ordinary.grow_head(BUFFER), Ok(()));
        assert_eq!(ordinary.grow_head(MAX_HEAD), Err(Exhausted::Share));
        assert_eq!(ordinary.hold_answers(), Err(Exhausted::Share));
        assert!(buffers.of_connection([192, 0, 2, 2].into(), Class::Stranger).grow_head(MAX_HEAD).is_ok());
        assert!(buffers.of_connection(STRANGER, Class::Trusted).grow_head(MAX_HEAD).is_ok());
        drop(held);
        assert!(buffers.of_connection(STRANGER, Class::Stranger).grow_head(MAX_HEAD).is_ok());
        let through_proxies = fill(&buffers, STRANGER, Class::Trusted, MAX_HEAD);
        assert_eq!(through_proxies.len(), BUFFER_BYTES_BY_PROXIES / (MAX_HEAD - BUFFER));
        let of_provider = fill(&buffers, STRANGER, Class::Provider, MAX_HEAD);
        assert_eq!(of_provider.len(), BUFFER_BYTES_BY_PROVIDER / (MAX_HEAD - BUFFER));
        assert!(buffers.of_connection([192, 0, 2, 2].into(), Class::Provider).grow_head(MAX_HEAD).is_ok());
    }

    // finding: S4
    #[test]
    fn unread_answers_count_until_they_are_read() {
        let buffers = Buffers::default();
        let mut held: Vec<_> = (0..BUFFER_BYTES_BY_ADDRESS / MAX_HEAD)
            .map(|_| buffers.of_connection(STRANGER, Class::Stranger))
            .collect();
        assert!(
            held.iter_mut().all(|buffer| buffer.hold_answers() == Ok(()) && buffer.hold_answers() == Ok(()))
        );
        let mut beyond = buffers.of_connection(STRANGER, Class::Stranger);
        assert_eq!(beyond.hold_answers(), Err(Exhausted::Share));
        held[0].release_answers();
        assert_eq!(beyond.hold_answers(), Ok(()));
    }

    #[test]
    fn a_connection_counts_its_longest_head() {
        let buffers = Buffers::default();
        let mut buffer = buffers.of_connection(STRANGER, Class::Stranger);
        for length in [BUFFER, 3 * BUFFER, 2 * BUFFER] {
            assert_eq!(buffer.grow_head(length), Ok(()));
            buffer.end_head();
        }
        assert_eq!(buffer.longest.map(|longest| longest.parts()), Some(2 * BUFFER));
    }
}
