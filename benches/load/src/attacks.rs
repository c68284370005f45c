//! What a genuine client notices while strangers attack: the attacks of the assessment, at full size, from
//! loopback addresses of their own.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};

use crate::claimgate::{Claimgate, forward_auth, get, logout};
use crate::client::whole;
use crate::hostile::{cookies_of_sign_in, form};
use crate::provider::Provider;
use crate::{Arguments, Failed};

/// How long an attack goes on.
const ATTACK: Duration = Duration::from_secs(20);
/// Genuine logouts in that time, each of a live session.
const LOGOUTS: usize = 40;
/// How long after the attack the server is asked again.
const RECOVERY: Duration = Duration::from_secs(10);

pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// Where the server is, and how to speak to it.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// Speaks plain HTTP/1.1, or TLS with the certificate in a file and these protocols.
    pub fn new(address: SocketAddr, certificate: Option<(&Path, &[&str])>) -> Result<Self, Failed> {
        let Some((file, protocols)) = certificate else { return Ok(Self { address, tls: None }) };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { address, tls: Some(Arc::new(config)) })
    }

    fn connect(&self, from: usize) -> Result<(Box<dyn Wire>, TcpStream), Failed> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let host = Ipv4Addr::new(127, 0, u8::try_from(from / 250)?, u8::try_from(from % 250)? + 1);
        socket.bind(&SocketAddr::new(IpAddr::V4(host), 0).into())?;
        socket.connect_timeout(&self.address.into(), Duration::from_secs(5))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        socket.set_write_timeout(Some(Duration::from_secs(10)))?;
        let tcp = TcpStream::from(socket);
        let control = tcp.try_clone()?;
        let Some(config) = &self.tls else { return Ok((Box::new(tcp), control)) };
        let session =
            ClientConnection::new(Arc::clone(config), ServerName::IpAddress(self.address.ip().into()))?;
        Ok((Box::new(StreamOwned::new(session, tcp)), control))
    }

    /// Asks once on a connection of its own. Returns the status; 0 where there is no answer.
    pub fn ask(&self, from: usize, request: &str) -> u16 {
        let ask = || -> Result<u16, Failed> {
            let (mut wire, _) = self.connect(from)?;
            wire.write_all(request.as_bytes())?;
            wire.flush()?;
            let (mut answer, mut buffer) = (Vec::new(), [0; 16 * 1024]);
            loop {
                match wire.read(&mut buffer)? {
                    0 => return Err("closed".into()),
                    count => answer.extend_from_slice(&buffer[..count]),
                }
                if let Some((status, _)) = whole(&answer) {
                    return Ok(status);
                }
            }
        };
        ask().unwrap_or(0)
    }
}

/// An attack: goes on until told to stop.
type Attack = fn(&Target, &Provider, &AtomicBool);

const ATTACKS: &[(&str, bool, Attack)] = &[
    ("none", false, |_, _, stop| wait(stop, ATTACK)),
    ("S1: 600 password attempts, hung up after 4 ms, from 22 addresses, again and again", false, hang_ups),
    ("S2: wrong passwords one after the other, from 100 addresses", false, guesses),
    ("S4: 500 clients that pipeline pages and do not read", false, |target, _, stop| unread(target, stop)),
    ("S4: 1,000 HTTP/2 connections without a window, over TLS", true, |target, _, stop| {
        no_window(target, stop)
    }),
    ("S10: forged logout tokens without `kid`, 960 at a time from one address", false, forged),
    ("S21: 6,200 logouts whose bodies drip, from one address", false, |target, _, stop| drip(target, stop)),
    ("S22: 8,300 sign-ins with a provider that hangs, from one address", false, |target, _, stop| {
        hanging(target, stop)
    }),
];

struct Row {
    attack: &'static str,
    refused: usize,
    auth_p99: f64,
    auth_failed: usize,
    peak: f64,
    after: f64,
    recovered: bool,
}

/// Runs each attack against a fresh server.
pub fn table(arguments: &Arguments) -> Result<String, Failed> {
    let folder = tempfile::tempdir()?;
    let provider = Provider::start(&arguments.claimgate, folder.path(), 8)?;
    let mut rows = Vec::new();
    for (attack, tls, run) in ATTACKS {
        eprintln!("{attack}");
        let place = folder.path().join("attacked");
        let server = Claimgate::start_attacked(&arguments.claimgate, &place, &provider, 2 * LOGOUTS, *tls)?;
        rows.push(measure(&server, &provider, attack, *tls, *run)?);
        drop(server);
        std::fs::remove_dir_all(&place)?;
    }
    Ok(write(&rows))
}

fn measure(
    server: &Claimgate,
    provider: &Arc<Provider>,
    attack: &'static str,
    tls: bool,
    run: Attack,
) -> Result<Row, Failed> {
    let certificate = server.certificate();
    let target = |protocols: &'static [&'static str]| {
        Target::new(server.address, tls.then_some((certificate.as_path(), protocols)))
    };
    let (attacked, genuine) = (target(&["h2"])?, target(&["http/1.1"])?);
    let tokens = provider.logout_tokens(LOGOUTS);
    let stop = AtomicBool::new(false);
    server.forget_peak();
    let (refused, mut auth) = std::thread::scope(|scope| -> Result<_, Failed> {
        scope.spawn(|| run(&attacked, provider, &stop));
        let auth = scope.spawn(|| auths(&genuine, &stop));
        // The attack is under way before it is measured.
        std::thread::sleep(ATTACK / 4);
        let pause = ATTACK / 2 / u32::try_from(LOGOUTS)?;
        let mut refused = 0;
        for token in &tokens {
            refused +=
                usize::from(genuine.ask(0, &logout(server.address, "/backchannel-logout", token)) != 200);
            std::thread::sleep(pause);
        }
        std::thread::sleep(ATTACK / 4);
        stop.store(true, Ordering::Relaxed);
        Ok((refused, auth.join().map_err(|_| "a thread panicked")?))
    })?;
    let peak = server.peak();
    std::thread::sleep(RECOVERY);
    let recovered = [
        genuine.ask(0, &get(server.address, "/healthz", "")),
        genuine.ask(0, &forward_auth(server.address, 2 * LOGOUTS - 1)),
    ] == [200, 200];
    let auth_failed = auth.iter().filter(|each| each.is_none()).count();
    let mut taken: Vec<f64> = auth.drain(..).flatten().collect();
    taken.sort_by(f64::total_cmp);
    let auth_p99 = taken.get(taken.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(f64::NAN);
    Ok(Row { attack, refused, auth_p99, auth_failed, peak, after: server.resident(), recovered })
}

/// Milliseconds of each forward-auth, each on a connection of its own; `None` where it was not 200.
fn auths(target: &Target, stop: &AtomicBool) -> Vec<Option<f64>> {
    let mut taken = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let status = target.ask(0, &forward_auth(target.address, 2 * LOGOUTS - 1));
        taken.push((status == 200).then(|| begun.elapsed().as_secs_f64() * 1000.0));
        std::thread::sleep(Duration::from_millis(10));
    }
    taken
}

fn wait(stop: &AtomicBool, longest: Duration) {
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) && begun.elapsed() < longest {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn guess(target: &Target, number: usize) -> String {
    form(
        target.address,
        "/login/password",
        &format!("username=person-{number}&password=a-guess-of-some-length"),
    )
}

fn hang_ups(target: &Target, _: &Provider, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for number in 0..600 {
            if let Ok((mut wire, control)) = target.connect(1 + number % 22) {
                let _ = wire.write_all(guess(target, number).as_bytes());
                std::thread::sleep(Duration::from_millis(4));
                // Unread bytes, if any, make this a reset.
                let _ = control.shutdown(std::net::Shutdown::Both);
            }
        }
        wait(stop, Duration::from_millis(200));
    }
}

fn guesses(target: &Target, _: &Provider, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        target.ask(1 + number % 100, &guess(target, number));
        number += 1;
    }
}

/// A connection of an attack that is kept open.
struct Kept {
    wire: Box<dyn Wire>,
    control: TcpStream,
    written: usize,
}

impl Kept {
    fn new(wire: Box<dyn Wire>, control: TcpStream) -> Self {
        // Where this fails, writing waits.
        drop(control.set_nonblocking(true));
        Self { wire, control, written: 0 }
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
        !reopens || !matches!(self.control.peek(&mut [0]), Ok(0..))
    }
}

/// Keeps so many connections open, each of which writes `first` and then `more` once a second; reads nothing
/// but the end.
fn keep(target: &Target, stop: &AtomicBool, connections: usize, first: &[u8], more: &[u8], reopens: bool) {
    let threads = 8;
    std::thread::scope(|scope| {
        for part in 0..threads {
            scope.spawn(move || {
                let mut open: Vec<Option<Kept>> =
                    (part..connections).step_by(threads).map(|_| None).collect();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    for slot in &mut open {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let keeps = match slot {
                            Some(kept) => kept.write(first, more, reopens),
                            None => {
                                *slot =
                                    target.connect(1).ok().map(|(wire, control)| Kept::new(wire, control));
                                true
                            }
                        };
                        if !keeps {
                            *slot = None;
                        }
                    }
                    wait(stop, Duration::from_millis(500).saturating_sub(begun.elapsed()));
                }
            });
        }
    });
}

fn unread(target: &Target, stop: &AtomicBool) {
    let page =
        get(target.address, &format!("/login?return_to=/{}", "!".repeat(1_900)), "Accept: text/html\r\n");
    keep(target, stop, 500, page.repeat(1_000).as_bytes(), b"", false);
}

fn drip(target: &Target, stop: &AtomicBool) {
    let head = form(target.address, "/backchannel-logout", &"x".repeat(2_000));
    let head = &head[..head.len() - 1_999];
    keep(target, stop, 6_200, head.as_bytes(), b"x", true);
}

fn hanging(target: &Target, stop: &AtomicBool) {
    let request = get(target.address, "/login/hanging", &cookies_of_sign_in());
    keep(target, stop, 8_300, request.as_bytes(), b"", true);
}

/// Raw HTTP/2: a preface, a window of nothing, and as many requests for a page as the server allows.
fn no_window(target: &Target, stop: &AtomicBool) {
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
    keep(target, stop, 1_000, &bytes, &answer, false);
}

fn forged(target: &Target, provider: &Provider, stop: &AtomicBool) {
    let token = provider.unsigned(r#"{"alg":"RS256"}"#, "");
    let request = logout(target.address, "/backchannel-logout", &token);
    std::thread::scope(|scope| {
        for _ in 0..60 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut wires: Vec<_> = (0..16).flat_map(|_| target.connect(1)).collect();
                    let mut buffer = [0; 16 * 1024];
                    while !stop.load(Ordering::Relaxed) && !wires.is_empty() {
                        wires.retain_mut(|(wire, _)| wire.write_all(request.as_bytes()).is_ok());
                        wires.retain_mut(|(wire, _)| matches!(wire.read(&mut buffer), Ok(1..)));
                    }
                }
            });
        }
    });
}

fn write(rows: &[Row]) -> String {
    let mut out = format!(
        "\n## Attacks\n\nEach attack goes on for {} s against a fresh server with eight RSA keys, from loopback addresses of its own;\n\
         meanwhile {LOGOUTS} genuine logouts, and a forward-auth every 10 ms, each on a connection of its own, from another\n\
         address. Attackers, clients, provider and server share two cores. *After*: {} s after the attack.\n\n\
         | attack | logouts refused of {LOGOUTS} | `/auth` p99 ms | `/auth` failed | peak MiB | after MiB | serves after |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        ATTACK.as_secs(),
        RECOVERY.as_secs()
    );
    for row in rows {
        let recovered = if row.recovered { "yes" } else { "no" };
        writeln!(
            out,
            "| {} | {} | {:.1} | {} | {:.0} | {:.0} | {recovered} |",
            row.attack, row.refused, row.auth_p99, row.auth_failed, row.peak, row.after
        )
        .expect("writing to a string");
    }
    out
}
