//! A lean HTTP/1.1 client: one thread, many kept connections, one request at a time on each.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Ready-made requests of one kind, each sent at most once.
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    pub fn new(each: impl IntoIterator<Item = String>) -> Self {
        let mut requests = Self { bytes: Vec::new(), ends: Vec::new() };
        for request in each {
            requests.bytes.extend_from_slice(request.as_bytes());
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    fn get(&self, index: usize) -> &[u8] {
        let begin = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[begin..self.ends[index]]
    }
}

/// What is to be sent at once over how many connections.
pub struct Load<'r> {
    pub requests: &'r Requests,
    pub connections: usize,
}

/// What came of one load.
#[derive(Default)]
pub struct Measured {
    /// The requests that were answered, by their place, with the answer's status.
    pub answered: Vec<(usize, u16)>,
    /// Microseconds from the first byte sent to the last received, in no order.
    pub micros: Vec<u32>,
    /// Seconds from the first request to the last answer.
    pub seconds: f64,
    /// Connections that the server closed or broke.
    pub broken: usize,
}

impl Measured {
    pub fn with_status(&self, status: u16) -> usize {
        self.answered.iter().filter(|(_, found)| *found == status).count()
    }

    pub fn per_second(&self) -> f64 {
        self.with_status(200) as f64 / self.seconds
    }

    /// Microseconds that this share of the answers took at most.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0).into()
    }
}

struct Connection {
    stream: TcpStream,
    load: usize,
    request: usize,
    written: usize,
    begun: Instant,
    answer: Vec<u8>,
    open: bool,
}

/// Sends until a load runs out of requests, the time is over, every connection is broken, or `watch`
/// (told of each 200, by load and request) says no.
pub fn drive(
    address: SocketAddr,
    loads: &[Load<'_>],
    longest: Duration,
    mut watch: impl FnMut(usize, usize) -> bool,
) -> std::io::Result<Vec<Measured>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut next = vec![0; loads.len()];
    let mut measured: Vec<Measured> = loads.iter().map(|_| Measured::default()).collect();
    let mut connections = Vec::new();
    for (load, settings) in loads.iter().enumerate() {
        for _ in 0..settings.connections.min(settings.requests.ends.len()) {
            // Connected before the clock runs.
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(
                &mut stream,
                Token(connections.len()),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            let request = next[load];
            next[load] += 1;
            connections.push(Connection {
                stream,
                load,
                request,
                written: 0,
                begun: Instant::now(),
                answer: Vec::new(),
                open: true,
            });
        }
    }
    let begun = Instant::now();
    for connection in &mut connections {
        connection.begun = Instant::now();
        send(connection, loads);
    }
    let mut buffer = vec![0; 64 * 1024];
    let mut going = true;
    let mut waiting = connections.len();
    while waiting > 0 {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        going = going && begun.elapsed() < longest;
        if !going && begun.elapsed() > longest + Duration::from_secs(30) {
            break;
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            if !connection.open {
                continue;
            }
            let load = connection.load;
            if event.is_writable() && connection.written < loads[load].requests.get(connection.request).len()
            {
                send(connection, loads);
            }
            if !event.is_readable() {
                continue;
            }
            match receive(connection, &mut buffer) {
                Received::Part => {}
                Received::Closed => {
                    connection.open = false;
                    waiting -= 1;
                    measured[load].broken += 1;
                }
                Received::Whole { status, closing } => {
                    let result = &mut measured[load];
                    result
                        .micros
                        .push(u32::try_from(connection.begun.elapsed().as_micros()).unwrap_or(u32::MAX));
                    result.answered.push((connection.request, status));
                    result.seconds = begun.elapsed().as_secs_f64();
                    if status == 200 {
                        going &= watch(load, connection.request);
                    }
                    // A load that has run dry ends the others: what is measured is measured together.
                    going &= next[load] < loads[load].requests.ends.len();
                    if going && !closing {
                        connection.request = next[load];
                        next[load] += 1;
                        connection.written = 0;
                        connection.answer.clear();
                        connection.begun = Instant::now();
                        send(connection, loads);
                    } else {
                        connection.open = false;
                        waiting -= 1;
                        result.broken += usize::from(closing);
                    }
                }
            }
        }
    }
    Ok(measured)
}

/// Writes what the socket takes; what it refuses shows when reading.
fn send(connection: &mut Connection, loads: &[Load<'_>]) {
    let request = loads[connection.load].requests.get(connection.request);
    while connection.written < request.len() {
        match connection.stream.write(&request[connection.written..]) {
            Ok(0) | Err(_) => return,
            Ok(count) => connection.written += count,
        }
    }
}

enum Received {
    Part,
    Whole { status: u16, closing: bool },
    Closed,
}

fn receive(connection: &mut Connection, buffer: &mut [u8]) -> Received {
    loop {
        match connection.stream.read(buffer) {
            Ok(0) => return Received::Closed,
            Ok(count) => connection.answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Received::Part,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Received::Closed,
        }
        // Nothing follows an answer before the next request: no need to read until it would block.
        if let Some((status, closing)) = whole(&connection.answer) {
            return Received::Whole { status, closing };
        }
    }
}

/// The status of an answer that is complete, and whether the server closes after it.
pub fn whole(answer: &[u8]) -> Option<(u16, bool)> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).expect("a head is ASCII");
    let status = text.get(9..12).and_then(|status| status.parse().ok()).expect("a status line");
    let mut length = 0;
    let mut closing = false;
    for line in text.split("\r\n").skip(1) {
        let (name, value) = line.split_once(':').expect("a header line");
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a length");
        } else if name.eq_ignore_ascii_case("connection") {
            closing = value.trim().eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            let ended = answer.ends_with(b"0\r\n\r\n");
            return ended.then_some((status, closing));
        }
    }
    (answer.len() >= head + 4 + length).then_some((status, closing))
}
