//! What genuine clients notice while strangers attack: each attack on each way to the server.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::attacks::{self, Scene};
use crate::claimgate::{Claimgate, forward_auth, get, logout};
use crate::hostile::MOST_COOKIES;
use crate::nginx::{APPLICATION, Nginx};
use crate::provider::Provider;
use crate::target::{Origin, Target};
use crate::{Arguments, Failed};

/// How long an attack goes on.
const ATTACK: Duration = Duration::from_secs(20);
/// Genuine logouts in that time, each of a live session.
const LOGOUTS: usize = 40;
/// How long after the attack the server is asked again.
const RECOVERY: Duration = Duration::from_secs(10);
/// The most bytes of cookies that nginx passes on as Debian configures it.
const NGINX_COOKIES: usize = 22_000;

/// A way from clients to the server.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Direct,
    Tls,
    Nginx,
    /// Attackers connect as a trusted proxy does that opens a connection for each request; others directly.
    Proxy,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Direct => "direct",
            Way::Tls => "TLS",
            Way::Nginx => "nginx",
            Way::Proxy => "a trusted proxy",
        }
    }
}

struct Attack {
    name: &'static str,
    ways: &'static [Way],
    /// What attackers speak over TLS.
    protocol: &'static str,
    run: fn(&Scene<'_>),
}

const ALL: &[Way] = &[Way::Direct, Way::Tls, Way::Nginx];

const ATTACKS: &[Attack] = &[
    Attack { name: "none", ways: ALL, protocol: "http/1.1", run: |_| {} },
    Attack {
        name: "S1: 600 password attempts, hung up after 4 ms, from 22 addresses, again and again",
        ways: ALL,
        protocol: "http/1.1",
        run: attacks::hang_ups,
    },
    Attack {
        name: "S2: wrong passwords one after the other, from 100 addresses",
        ways: ALL,
        protocol: "http/1.1",
        run: attacks::guesses,
    },
    Attack {
        name: "S4: 500 clients that pipeline pages and do not read",
        ways: ALL,
        protocol: "http/1.1",
        run: attacks::unread,
    },
    Attack {
        name: "S4: 1,000 HTTP/2 connections without a window",
        ways: &[Way::Tls],
        protocol: "h2",
        run: attacks::no_window,
    },
    Attack {
        name: "S9: sign-outs with a cookie of no session, 960 at a time from one address",
        ways: ALL,
        protocol: "http/1.1",
        run: attacks::sign_outs,
    },
    Attack {
        name: "S10: forged logout tokens without `kid`, 960 at a time from one address",
        ways: ALL,
        protocol: "http/1.1",
        run: attacks::forged,
    },
    Attack {
        name: "S21: 6,200 logouts whose bodies drip, from one address",
        ways: ALL,
        protocol: "http/1.1",
        run: attacks::drip,
    },
    Attack {
        name: "S22: 8,300 sign-ins with a provider that hangs, from one address",
        ways: &[Way::Direct, Way::Tls, Way::Nginx, Way::Proxy],
        protocol: "http/1.1",
        run: attacks::hanging,
    },
];

struct Row {
    attack: &'static str,
    way: &'static str,
    refused: usize,
    /// Milliseconds of each forward-auth that was answered 200, sorted.
    auth: Vec<f64>,
    auth_failed: usize,
    peak: f64,
    after: f64,
    recovered: bool,
}

/// Runs each attack on each of its ways against a fresh server.
pub fn table(arguments: &Arguments) -> Result<String, Failed> {
    let folder = tempfile::tempdir()?;
    let provider = Provider::start(&arguments.claimgate, folder.path(), 8)?;
    let mut rows = Vec::new();
    for attack in ATTACKS {
        for way in attack.ways {
            let named = format!("{}, {}", attack.name, way.name());
            if arguments.only.as_ref().is_none_or(|only| named.contains(only)) {
                eprintln!("{named}");
                rows.push(measure(arguments, folder.path(), &provider, attack, *way)?);
            }
        }
    }
    Ok(write(&rows))
}

/// Where attackers and genuine clients connect.
struct Targets {
    attacked: Target,
    genuine: Target,
    /// The path whose answer is 200 for a session.
    guarded: &'static str,
}

impl Targets {
    fn new(server: &Claimgate, nginx: Option<&Nginx>, attack: &Attack, way: Way) -> Result<Self, Failed> {
        let certificate = server.certificate();
        let address = nginx.map_or(server.address, |nginx| nginx.address);
        let target =
            |protocol| Target::new(address, (way == Way::Tls).then_some((certificate.as_path(), protocol)));
        Ok(Self {
            attacked: target(attack.protocol)?,
            genuine: target("http/1.1")?,
            guarded: if nginx.is_some() { APPLICATION } else { "/auth" },
        })
    }

    /// The request that asks whether a session is live.
    fn auth(&self) -> String {
        forward_auth(self.genuine.address, self.guarded, 2 * LOGOUTS - 1)
    }
}

fn measure(
    arguments: &Arguments,
    folder: &Path,
    provider: &Arc<Provider>,
    attack: &Attack,
    way: Way,
) -> Result<Row, Failed> {
    let place = folder.join("attacked");
    let server =
        Claimgate::start_attacked(&arguments.claimgate, &place, provider, 2 * LOGOUTS, way == Way::Tls)?;
    let nginx = match way {
        Way::Nginx => Some(Nginx::start(&folder.join("nginx"), server.address)?),
        _ => None,
    };
    let targets = Targets::new(&server, nginx.as_ref(), attack, way)?;
    server.forget_peak();
    let (refused, mut auth) = besiege(&targets, provider, attack, way)?;
    let peak = server.peak();
    std::thread::sleep(RECOVERY);
    let healthy = get(targets.genuine.address, "/healthz", "");
    let recovered =
        [healthy, targets.auth()].iter().all(|request| targets.genuine.ask(Origin::Genuine, request) == 200);
    let auth_failed = auth.iter().filter(|each| each.is_none()).count();
    let mut taken: Vec<f64> = auth.drain(..).flatten().collect();
    taken.sort_by(f64::total_cmp);
    let after = server.resident();
    drop((nginx, server));
    std::fs::remove_dir_all(&place)?;
    Ok(Row {
        attack: attack.name,
        way: way.name(),
        refused,
        auth: taken,
        auth_failed,
        peak,
        after,
        recovered,
    })
}

/// Sends the genuine requests during the attack. Returns how many logouts were refused, and the times of
/// forward-auth.
fn besiege(
    targets: &Targets,
    provider: &Provider,
    attack: &Attack,
    way: Way,
) -> Result<(usize, Vec<Option<f64>>), Failed> {
    let tokens = provider.logout_tokens(LOGOUTS);
    let stop = AtomicBool::new(false);
    let scene = Scene {
        target: &targets.attacked,
        provider,
        stop: &stop,
        forwarded: way == Way::Proxy,
        cookies: if way == Way::Nginx { NGINX_COOKIES } else { MOST_COOKIES },
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Attackers compute elsewhere: here they get what the others leave. Linux has a priority for each
            // thread, which those that it starts inherit.
            let _ = rustix::process::nice(19);
            (attack.run)(&scene);
        });
        let auth = scope.spawn(|| auths(targets, &stop));
        // The attack is under way before it is measured.
        std::thread::sleep(ATTACK / 4);
        let pause = ATTACK / 2 / u32::try_from(LOGOUTS)?;
        let mut refused = 0;
        for token in &tokens {
            let request = logout(targets.genuine.address, "/backchannel-logout", token);
            refused += usize::from(targets.genuine.ask(Origin::Genuine, &request) != 200);
            std::thread::sleep(pause);
        }
        std::thread::sleep(ATTACK / 4);
        stop.store(true, Ordering::Relaxed);
        Ok((refused, auth.join().map_err(|_| "a thread panicked")?))
    })
}

/// Milliseconds of each forward-auth, each on a connection of its own; `None` where it was not 200.
fn auths(targets: &Targets, stop: &AtomicBool) -> Vec<Option<f64>> {
    let request = targets.auth();
    let mut taken = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let status = targets.genuine.ask(Origin::Genuine, &request);
        taken.push((status == 200).then(|| begun.elapsed().as_secs_f64() * 1000.0));
        std::thread::sleep(Duration::from_millis(10));
    }
    taken
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len().saturating_sub(1) as f64 * share) as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn write(rows: &[Row]) -> String {
    let mut out = format!(
        "\n## Attacks\n\n\
         Each attack goes on for {} s against a fresh server with eight RSA keys, from addresses that no setting names,\n\
         and on the ways that have a row: directly, directly over TLS, through nginx with the guide's configuration and\n\
         firewall, and as from a trusted proxy that opens a connection for each request. Meanwhile {LOGOUTS} genuine logouts, and a forward-auth every\n\
         10 ms, take the same way, each on a connection of\n\
         its own, from another such address. Attackers, clients, provider and server share two cores; attackers have the lowest\n\
         priority. *After*: {} s after the attack. Memory is the server's.\n\n\
         | attack | way | logouts refused of {LOGOUTS} | `/auth` median ms | p99 ms | failed | peak MiB | after MiB | serves after |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        ATTACK.as_secs(),
        RECOVERY.as_secs()
    );
    for row in rows {
        let recovered = if row.recovered { "yes" } else { "no" };
        let (median, p99) = (quantile(&row.auth, 0.5), quantile(&row.auth, 0.99));
        writeln!(
            out,
            "| {} | {} | {} | {median:.1} | {p99:.1} | {} | {:.0} | {:.0} | {recovered} |",
            row.attack, row.way, row.refused, row.auth_failed, row.peak, row.after
        )
        .expect("writing to a string");
    }
    out
}
