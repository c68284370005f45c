//! What is measured, and in which order.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::apache::{self, Apache};
use crate::claimgate::{Claimgate, forward_auth, logout};
use crate::client::{Load, Measured, Requests, drive};
use crate::provider::{self, Provider};
use crate::service::{self, Service};
use crate::steady;
use crate::{Arguments, Failed};

pub const PATH: &str = "/api/v1/backchannelLogout";
const FOREVER: Duration = Duration::from_secs(600);

/// One server's run of logouts.
pub struct Logouts {
    pub per_second: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// The server's processor time for each, in microseconds.
    pub cpu: f64,
}

/// Acknowledged logouts, and what was left of them after `kill -9`.
#[derive(Default)]
pub struct Durable {
    pub acknowledged: usize,
    pub remembered: usize,
}

/// Milliseconds of what people do, alone and beside a storm of logouts.
pub struct Steady {
    pub name: &'static str,
    pub alone: Vec<f64>,
    pub beside: Vec<f64>,
}

pub struct Results {
    pub connections: usize,
    pub seconds: f64,
    pub claimgate: Vec<Logouts>,
    pub durable: Durable,
    pub service: Vec<Logouts>,
    pub service_durable: Durable,
    pub apache: Vec<Logouts>,
    pub apache_version: String,
    pub with_sessions: Option<(Logouts, Durable, f64)>,
    pub forward_auth: Option<Logouts>,
    pub steady: Vec<Steady>,
    pub storm_beside: f64,
}

pub fn all(arguments: &Arguments) -> Result<Results, Failed> {
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let folder = folder.path();
    let provider = Provider::start(&arguments.claimgate, folder, 1)?;
    eprintln!("signing {} tokens", arguments.tokens);
    let tokens = provider.logout_tokens(arguments.tokens);
    let with_apache = !arguments.no_apache && apache::installed();
    let mut results = Results {
        connections: arguments.connections,
        seconds: arguments.seconds,
        claimgate: Vec::new(),
        durable: Durable::default(),
        service: Vec::new(),
        service_durable: Durable::default(),
        apache: Vec::new(),
        apache_version: apache::version(),
        with_sessions: None,
        forward_auth: None,
        steady: Vec::new(),
        storm_beside: 0.0,
    };
    for round in 0..arguments.rounds {
        let place = folder.join(format!("claimgate-{round}"));
        let mut server = Claimgate::start(&arguments.claimgate, &place, &provider)?;
        let (measured, durable) = storm_and_kill(arguments, &mut server, &tokens)?;
        results.durable.acknowledged += durable.acknowledged;
        results.durable.remembered += durable.remembered;
        eprintln!("claimgate {:.0}/s", measured.per_second);
        results.claimgate.push(measured);
        drop(server);
        std::fs::remove_dir_all(place)?;
        let place = folder.join(format!("service-{round}"));
        let (measured, durable) = storm_on_service(arguments, &place, &provider, &tokens)?;
        results.service_durable.acknowledged += durable.acknowledged;
        results.service_durable.remembered += durable.remembered;
        eprintln!("service on axum {:.0}/s", measured.per_second);
        results.service.push(measured);
        std::fs::remove_dir_all(place)?;
        if with_apache {
            let place = folder.join(format!("apache-{round}"));
            let measured = storm_on_apache(arguments, &place, &provider, &tokens)?;
            eprintln!("mod_auth_openidc {:.0}/s", measured.per_second);
            results.apache.push(measured);
        }
    }
    if !arguments.logouts_only {
        people(arguments, folder, &provider, &tokens, &mut results)?;
    }
    Ok(results)
}

/// The measurements that need sessions: each token then ends one.
fn people(
    arguments: &Arguments,
    folder: &Path,
    provider: &Arc<Provider>,
    tokens: &[String],
    results: &mut Results,
) -> Result<(), Failed> {
    let place = folder.join("sessions");
    let mut server = Claimgate::start_with_sessions(&arguments.claimgate, &place, provider, tokens.len())?;
    let asked = Requests::new((0..tokens.len()).map(|index| forward_auth(server.address, "/auth", index)));
    let load = Load { requests: &asked, connections: arguments.connections };
    let seconds = Duration::from_secs_f64(arguments.seconds);
    let cpu = server.cpu();
    let measured = one(drive(server.address, &[load], seconds, |_, _| true)?);
    expect_ok("forward-auth", &measured)?;
    results.forward_auth = Some(of(&measured, server.cpu() - cpu));
    eprintln!("forward-auth {:.0}/s", measured.per_second());

    let alone = beside(&server, tokens.len() / 2..tokens.len(), || std::thread::sleep(seconds))?;
    let mut storm = Ok(Measured::default());
    let half =
        Requests::new(tokens[..tokens.len() / 2].iter().map(|token| logout(server.address, PATH, token)));
    let during = beside(&server, tokens.len() / 2..tokens.len(), || {
        let load = Load { requests: &half, connections: arguments.connections };
        storm = drive(server.address, &[load], seconds, |_, _| true).map(one);
    })?;
    let storm = storm?;
    expect_ok("logouts", &storm)?;
    results.storm_beside = storm.per_second();
    for ((name, alone), (_, beside)) in alone.into_iter().zip(during) {
        results.steady.push(Steady { name, alone, beside });
    }

    let before = server.sessions()?;
    drop(server);
    std::fs::remove_dir_all(&place)?;
    server = Claimgate::start_with_sessions(&arguments.claimgate, &place, provider, tokens.len())?;
    let resident = server.resident();
    let (measured, durable) = storm_and_kill(arguments, &mut server, tokens)?;
    let left = server.sessions()?;
    if before == 0 || left > tokens.len() - durable.acknowledged {
        return Err("acknowledged logouts left sessions behind".into());
    }
    eprintln!("claimgate, each with a session {:.0}/s", measured.per_second);
    results.with_sessions = Some((measured, durable, resident));
    Ok(())
}

/// A server that is killed in the middle of its work.
trait Killed {
    /// Seconds of processor time that it has used.
    fn cpu(&self) -> f64;
    /// `kill -9`.
    fn kill(&mut self);
}

impl Killed for Claimgate {
    fn cpu(&self) -> f64 {
        Claimgate::cpu(self)
    }

    fn kill(&mut self) {
        Claimgate::kill(self);
    }
}

impl Killed for Service {
    fn cpu(&self) -> f64 {
        Service::cpu(self)
    }

    fn kill(&mut self) {
        Service::kill(self);
    }
}

/// Sends logouts until the server has answered for long enough, and kills it then. Returns what came of them, and the
/// processor time of the server for them.
fn storm_until_killed(
    arguments: &Arguments,
    name: &str,
    (address, path): (SocketAddr, &str),
    tokens: &[String],
    server: &mut impl Killed,
) -> Result<(Measured, f64), Failed> {
    let requests = Requests::new(tokens.iter().map(|token| logout(address, path, token)));
    let load = Load { requests: &requests, connections: arguments.connections };
    let (begun, cpu) = (Instant::now(), server.cpu());
    let (mut used, mut answered) = (None, 0);
    let nearly_all = tokens.len() - tokens.len().min(4 * arguments.connections);
    let measured = one(drive(address, &[load], FOREVER, |_, _| {
        answered += 1;
        if answered == nearly_all || begun.elapsed().as_secs_f64() > arguments.seconds {
            used.get_or_insert_with(|| server.cpu() - cpu);
            server.kill();
        }
        true
    })?);
    expect_ok(name, &measured)?;
    Ok((measured, used.unwrap_or_default()))
}

/// Logouts until the server is killed in the middle of them; then what it remembers.
fn storm_and_kill(
    arguments: &Arguments,
    server: &mut Claimgate,
    tokens: &[String],
) -> Result<(Logouts, Durable), Failed> {
    let (measured, used) = storm_until_killed(arguments, "logouts", (server.address, PATH), tokens, server)?;
    let acknowledged: Vec<usize> = measured.answered.iter().map(|(index, _)| *index).collect();
    server.restart()?;
    let remembered = server.remembered(&acknowledged)?;
    // And it acts on it: what was acknowledged is a replay now.
    let again = logout(server.address, PATH, &tokens[acknowledged[acknowledged.len() - 1]]);
    if !steady::ask(server.address, &again)?.starts_with("HTTP/1.1 400") {
        return Err("the last acknowledged token is accepted again".into());
    }
    Ok((of(&measured, used), Durable { acknowledged: acknowledged.len(), remembered }))
}

/// Logouts until the service is killed in the middle of them; then what its database has.
fn storm_on_service(
    arguments: &Arguments,
    place: &Path,
    provider: &Provider,
    tokens: &[String],
) -> Result<(Logouts, Durable), Failed> {
    let mut server = Service::start(&arguments.service, place, provider)?;
    let place = (server.address, service::PATH);
    let (measured, used) = storm_until_killed(arguments, "the service on axum", place, tokens, &mut server)?;
    let acknowledged: Vec<usize> = measured.answered.iter().map(|(index, _)| *index).collect();
    let remembered = server.remembered(&acknowledged)?;
    Ok((of(&measured, used), Durable { acknowledged: acknowledged.len(), remembered }))
}

/// Logouts on Apache for as long as one measurement takes.
pub fn storm_on_apache(
    arguments: &Arguments,
    place: &Path,
    provider: &Provider,
    tokens: &[String],
) -> Result<Logouts, Failed> {
    let server = Apache::start(place, provider, arguments.connections)?;
    let good = tokens.last().ok_or("no tokens")?;
    // Another token's signature.
    let (_, signature) = tokens[0].rsplit_once('.').ok_or("no token")?;
    let (input, _) = good.rsplit_once('.').ok_or("no token")?;
    for (token, status) in [(good, 200), (&format!("{input}.{signature}"), 400)] {
        let answer = steady::ask(server.address, &logout(server.address, apache::PATH, token))?;
        if !answer.starts_with(&format!("HTTP/1.1 {status}")) {
            return Err(format!("mod_auth_openidc should have answered {status}: {answer}").into());
        }
    }
    let requests = Requests::new(tokens.iter().map(|token| logout(server.address, apache::PATH, token)));
    let load = Load { requests: &requests, connections: arguments.connections };
    let seconds = Duration::from_secs_f64(arguments.seconds);
    let cpu = server.cpu();
    let measured = one(drive(server.address, &[load], seconds, |_, _| true)?);
    expect_ok("mod_auth_openidc", &measured)?;
    Ok(of(&measured, server.cpu() - cpu))
}

type Taken = Vec<(&'static str, Vec<f64>)>;

/// Forward-auth and sign-ins at a steady pace while something else goes on.
fn beside(server: &Claimgate, sessions: Range<usize>, meanwhile: impl FnOnce()) -> Result<Taken, Failed> {
    let stop = AtomicBool::new(false);
    let address = server.address;
    let begun = provider::now();
    std::thread::scope(|scope| {
        let stop = &stop;
        let auths: Vec<_> = (0..4)
            .map(|number| {
                let pause = Duration::from_millis(5);
                let own = sessions.clone().skip(number).step_by(4).cycle();
                scope.spawn(move || steady::forward_auths(address, own, pause, stop))
            })
            .collect();
        let sign_ins: Vec<_> = (0..2)
            .map(|number| {
                let name = format!("{begun}-{number}");
                let pause = Duration::from_millis(20);
                scope.spawn(move || steady::sign_ins(address, &name, pause, stop))
            })
            .collect();
        meanwhile();
        stop.store(true, Ordering::Relaxed);
        let mut taken = Vec::new();
        for (name, threads) in [("forward-auth", auths), ("whole sign-in", sign_ins)] {
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| "a thread panicked")??);
            }
            taken.push((name, all));
        }
        Ok(taken)
    })
}

pub fn one(mut measured: Vec<Measured>) -> Measured {
    measured.pop().unwrap_or_default()
}

pub fn of(measured: &Measured, cpu: f64) -> Logouts {
    Logouts {
        per_second: measured.per_second(),
        p50: measured.quantile(0.5) / 1000.0,
        p99: measured.quantile(0.99) / 1000.0,
        cpu: cpu * 1e6 / measured.answered.len() as f64,
    }
}

pub fn expect_ok(what: &str, measured: &Measured) -> Result<(), Failed> {
    match measured.answered.iter().find(|(_, status)| *status != 200) {
        Some((_, status)) => Err(format!("{what}: one was answered with {status}").into()),
        None if measured.answered.is_empty() => Err(format!("{what}: none was answered").into()),
        None => Ok(()),
    }
}
