//! Requests at a steady pace beside a storm: what people notice of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Failed;
use crate::claimgate::{forward_auth, get};
use crate::client::whole;

/// One connection, one request at a time.
pub struct Kept {
    stream: TcpStream,
    address: SocketAddr,
}

impl Kept {
    pub fn new(address: SocketAddr) -> Result<Self, Failed> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, address })
    }

    pub fn ask(&mut self, request: &str) -> Result<String, Failed> {
        self.stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer)? {
                0 => return Err("the connection was closed".into()),
                count => answer.extend_from_slice(&buffer[..count]),
            }
            if whole(&answer).is_some() {
                return Ok(String::from_utf8(answer)?);
            }
        }
    }
}

pub fn ask(address: SocketAddr, request: &str) -> Result<String, Failed> {
    Kept::new(address)?.ask(request)
}

/// Milliseconds of each of these sessions, until told to stop.
pub fn forward_auths(
    address: SocketAddr,
    sessions: impl Iterator<Item = usize>,
    pause: Duration,
    stop: &AtomicBool,
) -> Result<Vec<f64>, Failed> {
    let mut connection = Kept::new(address)?;
    let mut taken = Vec::new();
    for index in sessions {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        let answer = connection.ask(&forward_auth(address, "/auth", index))?;
        taken.push(begun.elapsed().as_secs_f64() * 1000.0);
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(format!("forward-auth was answered: {answer}").into());
        }
        std::thread::sleep(pause);
    }
    Ok(taken)
}

/// Whole sign-ins of different people, the provider's part included; milliseconds of each.
pub fn sign_ins(
    address: SocketAddr,
    name: &str,
    pause: Duration,
    stop: &AtomicBool,
) -> Result<Vec<f64>, Failed> {
    let mut connection = Kept::new(address)?;
    let mut taken = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        sign_in(&mut connection, &format!("{name}-{}", taken.len()))?;
        taken.push(begun.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(pause);
    }
    Ok(taken)
}

/// Signs a person in. Returns the cookie of the session, with its name.
pub fn sign_in(connection: &mut Kept, person: &str) -> Result<String, Failed> {
    let address = connection.address;
    let sent = connection.ask(&get(address, "/login/oidc", ""))?;
    let missing = || format!("no redirect to the provider: {sent}");
    let location = header(&sent, "location").ok_or_else(missing)?;
    let cookie =
        header(&sent, "set-cookie").and_then(|cookie| cookie.split(';').next()).ok_or_else(missing)?;
    let parameter = |name: &str| {
        let query = location.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let state = parameter("state").ok_or_else(missing)?;
    let nonce = parameter("nonce").ok_or_else(missing)?;
    let callback = format!("/callback/oidc?code={nonce}.{person}&state={state}");
    let landed = connection.ask(&get(address, &callback, &format!("Cookie: {cookie}\r\n")))?;
    let cookies = landed.split("\r\n").filter_map(|line| line.split_once(": "));
    let session = cookies
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .find_map(|(_, value)| value.split(';').next().filter(|cookie| cookie.starts_with("claimgate=")));
    match session {
        Some(cookie) if landed.starts_with("HTTP/1.1 303") => Ok(cookie.to_owned()),
        _ => Err(format!("a sign-in was answered: {landed}").into()),
    }
}

fn header<'t>(answer: &'t str, name: &str) -> Option<&'t str> {
    answer.split("\r\n").skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
