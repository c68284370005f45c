//! The attacks of the assessment, at full size.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::claimgate::{get, logout};
use crate::hostile::{cookies_of_sign_in, form};
use crate::provider::Provider;
use crate::target::{Origin, Target, Wire};

/// What an attack needs to know.
pub struct Scene<'s> {
    pub target: &'s Target,
    pub provider: &'s Provider,
    /// Set when the attack is to end.
    pub stop: &'s AtomicBool,
    /// Whether the requests come as through a trusted proxy that passes them on one by one.
    pub forwarded: bool,
    /// The most bytes of cookies that the way lets pass.
    pub cookies: usize,
}

impl Scene<'_> {
    fn origin(&self, number: usize) -> Origin {
        if self.forwarded { Origin::Loopback } else { Origin::Stranger(number) }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn wait(&self, longest: Duration) {
        let begun = Instant::now();
        while !self.is_over() && begun.elapsed() < longest {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn guess(target: &Target, number: usize) -> String {
    let body = format!("username=person-{number}&password=a-guess-of-some-length");
    form(target.address, "/login/password", &body)
}

/// 600 password attempts from 22 addresses, each hung up after 4 ms; again and again.
pub fn hang_ups(scene: &Scene<'_>) {
    while !scene.is_over() {
        for number in 0..600 {
            if let Ok((mut wire, control)) = scene.target.connect(scene.origin(number % 22)) {
                let _ = wire.write_all(guess(scene.target, number).as_bytes());
                std::thread::sleep(Duration::from_millis(4));
                // Unread bytes, if any, make this a reset.
                let _ = control.shutdown(std::net::Shutdown::Both);
            }
        }
        scene.wait(Duration::from_millis(200));
    }
}

/// Wrong passwords one after the other, from 100 addresses.
pub fn guesses(scene: &Scene<'_>) {
    let mut number = 0;
    while !scene.is_over() {
        scene.target.ask(scene.origin(number % 100), &guess(scene.target, number));
        number += 1;
    }
}

/// A connection of an attack that is kept open.
struct Kept {
    wire: Box<dyn Wire>,
    written: usize,
}

impl Kept {
    fn new(wire: Box<dyn Wire>, control: &TcpStream) -> Self {
        // Where this fails, writing waits.
        drop(control.set_nonblocking(true));
        Self { wire, written: 0 }
    }

    /// Writes what is left of `first`, or `more`. Returns `false` if the connection is broken, or answered where it
    /// `reopens` then.
    fn write(&mut self, first: &[u8], more: &[u8], reopens: bool) -> bool {
        let rest = if self.written < first.len() { &first[self.written..] } else { more };
        match self.wire.write(rest) {
            Ok(count) => self.written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        !reopens || matches!(self.wire.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// What many connections do that are kept open: each writes `first`, then `more` twice a second, and reads nothing
/// but, where it `reopens`, the end.
struct Many<'b> {
    connections: usize,
    first: &'b [u8],
    more: &'b [u8],
    reopens: bool,
}

impl Many<'_> {
    fn keep(&self, scene: &Scene<'_>) {
        let threads = 8;
        std::thread::scope(|scope| {
            for part in 0..threads {
                let count = (part..self.connections).step_by(threads).count();
                scope.spawn(move || self.keep_some(scene, count));
            }
        });
    }

    fn keep_some(&self, scene: &Scene<'_>, count: usize) {
        let mut open: Vec<Option<Kept>> = (0..count).map(|_| None).collect();
        while !scene.is_over() {
            let begun = Instant::now();
            for slot in &mut open {
                if scene.is_over() {
                    return;
                }
                *slot = match slot.take() {
                    Some(mut kept) => kept.write(self.first, self.more, self.reopens).then_some(kept),
                    None => {
                        let opened = scene.target.connect(scene.origin(1));
                        opened.ok().map(|(wire, control)| Kept::new(wire, &control))
                    }
                };
            }
            scene.wait(Duration::from_millis(500).saturating_sub(begun.elapsed()));
        }
    }
}

/// 500 clients that pipeline pages and do not read.
pub fn unread(scene: &Scene<'_>) {
    let path = format!("/login?return_to=/{}", "!".repeat(1_900));
    let pages = get(scene.target.address, &path, "Accept: text/html\r\n").repeat(1_000);
    Many { connections: 500, first: pages.as_bytes(), more: b"", reopens: false }.keep(scene);
}

/// 6,200 logouts whose bodies drip.
pub fn drip(scene: &Scene<'_>) {
    let whole = form(scene.target.address, "/backchannel-logout", &"x".repeat(2_000));
    let first = &whole.as_bytes()[..whole.len() - 1_999];
    Many { connections: 6_200, first, more: b"x", reopens: true }.keep(scene);
}

/// 8,300 sign-ins with a provider that hangs, each with as many cookies as a head may hold.
pub fn hanging(scene: &Scene<'_>) {
    let mut headers = cookies_of_sign_in(scene.cookies);
    if scene.forwarded {
        headers.push_str("X-Forwarded-For: 198.18.0.1\r\n");
    }
    let request = get(scene.target.address, "/login/hanging", &headers);
    Many { connections: 8_300, first: request.as_bytes(), more: b"", reopens: true }.keep(scene);
}

/// 1,000 HTTP/2 connections with a window of nothing, each with as many requests for a page as the server allows.
pub fn no_window(scene: &Scene<'_>) {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut bytes = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for number in 0..100 {
        // :method GET, :scheme https, then :path and :authority as literals that are not indexed.
        let mut headers = vec![0x82, 0x87, 0x04, 6];
        headers.extend(b"/login");
        headers.extend([0x01, 1, b'x']);
        bytes.extend(frame(1, 5, 1 + 2 * number, &headers));
    }
    // The server's pings are answered: the payload is the one that hyper sends.
    let answer = frame(6, 1, 0, &[0x3b, 0x7c, 0xdb, 0x7a, 0x0b, 0x87, 0x16, 0xb4]);
    Many { connections: 1_000, first: &bytes, more: &answer, reopens: false }.keep(scene);
}

/// Forged logout tokens without `kid`, 960 at a time.
pub fn forged(scene: &Scene<'_>) {
    let token = scene.provider.unsigned(r#"{"alg":"RS256"}"#, "");
    flood(scene, &logout(scene.target.address, "/backchannel-logout", &token));
}

/// Sign-outs with a cookie of no session, 960 at a time.
pub fn sign_outs(scene: &Scene<'_>) {
    let (address, cookie) = (scene.target.address, "A".repeat(43));
    let head = format!("POST /logout HTTP/1.1\r\nHost: {address}\r\nCookie: claimgate={cookie}\r\n");
    flood(scene, &format!("{head}Content-Length: 0\r\n\r\n"));
}

/// Sends a request on 960 connections of one address, on each again once it is answered.
fn flood(scene: &Scene<'_>, request: &str) {
    std::thread::scope(|scope| {
        for _ in 0..60 {
            scope.spawn(|| {
                while !scene.is_over() {
                    let mut wires: Vec<_> =
                        (0..16).flat_map(|_| scene.target.connect(scene.origin(1))).collect();
                    let mut buffer = [0; 16 * 1024];
                    while !scene.is_over() && !wires.is_empty() {
                        wires.retain_mut(|(wire, _)| wire.write_all(request.as_bytes()).is_ok());
                        wires.retain_mut(|(wire, _)| matches!(wire.read(&mut buffer), Ok(1..)));
                    }
                }
            });
        }
    });
}
