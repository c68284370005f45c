//! One, two and four nodes on one PostgreSQL: logouts at all of them at once, what each costs, and how long a session
//! that a logout at one node ended is still served at the next.
//!
//! One logout in [`SAMPLED`] ends a live session, and is followed: it is sent when the logouts before it are answered, so
//! that what is followed is spread over the whole storm.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::claimgate::{Claimgate, forward_auth, get, logout};
use crate::client::{Load, Measured, Requests, drive};
use crate::measure::{PATH, expect_ok};
use crate::postgres::Postgres;
use crate::provider::Provider;
use crate::steady::{Kept, sign_in};
use crate::{Arguments, Failed};

/// How many nodes there are in each part of the run.
const NODES: [usize; 3] = [1, 2, 4];
/// One logout in so many ends a session, and is followed.
const SAMPLED: usize = 80;
/// How many logouts are followed at a time.
const FOLLOWERS: usize = 24;
/// Pause between two questions for a session that a logout has ended.
const PAUSE: Duration = Duration::from_millis(4);
/// Tokens signed for each piece of the storm.
const TOKENS: usize = 100_000;
/// Requests of forward-auth for one session, in each round.
const REQUESTS: usize = 100_000;
/// The rounds, in turns, of forward-auth over PostgreSQL and over SQLite.
const ROUNDS: usize = 5;

struct Row {
    version: String,
    nodes: usize,
    logouts: usize,
    per_second: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
    /// Microseconds of processor time for each logout: of the nodes, and of PostgreSQL.
    node_cpu: f64,
    database_cpu: f64,
    /// Milliseconds from the answer to a logout until the first 401 at the next node, sorted.
    ended: Vec<f64>,
}

/// Measures as many logouts for each number of nodes.
pub fn table(arguments: &Arguments, logouts: usize) -> Result<String, Failed> {
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    // PostgreSQL's own user has to reach its folder.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open)?;
    let provider = Provider::start(&arguments.claimgate, folder.path(), 1)?;
    let mut rows = Vec::new();
    for nodes in NODES {
        let row = storm(arguments, &folder.path().join(nodes.to_string()), &provider, nodes, logouts)?;
        let Row { per_second, node_cpu, database_cpu, .. } = &row;
        eprintln!("{nodes} nodes: {per_second:.0}/s, {node_cpu:.0} and {database_cpu:.0} µs each");
        rows.push(row);
    }
    let auth = compare_forward_auth(arguments, &folder.path().join("auth"), &provider)?;
    Ok(write(arguments, &rows, &auth))
}

fn storm(
    arguments: &Arguments,
    folder: &Path,
    provider: &Provider,
    count: usize,
    logouts: usize,
) -> Result<Row, Failed> {
    std::fs::create_dir_all(folder)?;
    let database = Postgres::start(&folder.join("postgres"))?;
    let start = |number: usize| {
        Claimgate::start_on_postgres(
            &arguments.claimgate,
            &folder.join(format!("node-{number}")),
            provider,
            &database.url,
        )
    };
    let sessions = logouts / SAMPLED;
    let place = folder.join("sessions");
    Claimgate::open_on_postgres(&arguments.claimgate, &place, provider, &database.url, sessions)?;
    let nodes = (0..count).map(start).collect::<Result<Vec<_>, _>>()?;
    let (cpu, database_cpu) = (nodes.iter().map(Claimgate::cpu).sum::<f64>(), database.cpu());
    let sample = Sample { sessions, next: AtomicUsize::new(0), storm: Storm::default() };
    let (followed, measured) = std::thread::scope(|scope| {
        let followers: Vec<_> =
            (0..FOLLOWERS).map(|_| scope.spawn(|| sample.follow(provider, &nodes))).collect();
        let measured = send(arguments, provider, &nodes, (sessions, logouts), &sample.storm);
        sample.storm.is_over.store(true, Ordering::Relaxed);
        let followed: Vec<_> = followers.into_iter().map(|follower| follower.join()).collect();
        (followed, measured)
    });
    let (pieces, mut ended) = (measured?, Vec::new());
    for taken in followed {
        ended.extend(taken.map_err(|_| "a thread panicked")??);
    }
    let cpu = nodes.iter().map(Claimgate::cpu).sum::<f64>() - cpu;
    let database_cpu = database.cpu() - database_cpu;
    let answered: usize = pieces.iter().map(|piece| piece.answered.len()).sum();
    // The pieces of the nodes ran at once.
    let seconds = pieces.iter().map(|piece| piece.seconds).sum::<f64>() / count as f64;
    let mut micros: Vec<u32> = pieces.iter().flat_map(|piece| piece.micros.iter().copied()).collect();
    micros.sort_unstable();
    let quantile = |share: f64| f64::from(micros[((micros.len() - 1) as f64 * share) as usize]) / 1000.0;
    ended.sort_by(f64::total_cmp);
    let of_each = 1e6 / answered as f64;
    Ok(Row {
        version: database.version(),
        nodes: count,
        logouts: answered,
        per_second: answered as f64 / seconds,
        p50: quantile(0.5),
        p99: quantile(0.99),
        node_cpu: cpu * of_each,
        database_cpu: database_cpu * of_each,
        ended,
    })
}

/// How far the storm has come.
#[derive(Default)]
struct Storm {
    answered: AtomicUsize,
    is_over: AtomicBool,
}

/// The sessions that logouts end while the storm goes on.
struct Sample {
    sessions: usize,
    /// The next one to end.
    next: AtomicUsize,
    storm: Storm,
}

impl Sample {
    /// Ends sessions one by one, each at one node, and asks the next node for each until it is refused. Returns the
    /// milliseconds that took.
    fn follow(&self, provider: &Provider, nodes: &[Claimgate]) -> Result<Vec<f64>, Failed> {
        let mut taken = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.sessions || !self.storm.wait_for(number * SAMPLED) {
                return Ok(taken);
            }
            let [here, there] = [0, 1].map(|next| nodes[(number + next) % nodes.len()].address);
            let (mut logouts, mut asked) = (Kept::new(here)?, Kept::new(there)?);
            let auth = forward_auth(there, "/auth", number);
            if !asked.ask(&auth)?.starts_with("HTTP/1.1 200") {
                return Err("a session is not served before its logout".into());
            }
            let token = provider.symmetric_logout_token(number, number);
            let answer = logouts.ask(&logout(here, PATH, &token))?;
            let acknowledged = Instant::now();
            if !answer.starts_with("HTTP/1.1 200") {
                return Err(format!("a logout was answered: {answer}").into());
            }
            while !asked.ask(&auth)?.starts_with("HTTP/1.1 401") {
                std::thread::sleep(PAUSE);
            }
            taken.push(acknowledged.elapsed().as_secs_f64() * 1000.0);
        }
    }
}

impl Storm {
    /// Waits until so many logouts are answered. Returns `false` if the storm is over before.
    fn wait_for(&self, answered: usize) -> bool {
        while self.answered.load(Ordering::Relaxed) < answered {
            if self.is_over.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

/// Sends logouts that end no session to all nodes at once, in pieces.
fn send(
    arguments: &Arguments,
    provider: &Provider,
    nodes: &[Claimgate],
    (sessions, logouts): (usize, usize),
    storm: &Storm,
) -> Result<Vec<Measured>, Failed> {
    let tokens = TOKENS.min(logouts);
    let of_node = tokens / nodes.len();
    // The first numbers are those of sessions.
    let requests = |piece: usize, node: usize| {
        let first = sessions + piece * tokens + node * of_node;
        let token = |number: usize| provider.symmetric_logout_token(number, number);
        Requests::new(
            (first..first + of_node).map(|number| logout(nodes[node].address, PATH, &token(number))),
        )
    };
    let all = |piece: usize| (0..nodes.len()).map(|node| requests(piece, node)).collect::<Vec<_>>();
    let (mut measured, mut next) = (Vec::new(), all(0));
    for piece in 0..logouts / tokens {
        let following = std::thread::scope(|scope| -> Result<Vec<Requests>, Failed> {
            let signing = scope.spawn(|| all(piece + 1));
            let running: Vec<_> = nodes
                .iter()
                .zip(&next)
                .map(|(node, requests)| {
                    let load = [Load { requests, connections: arguments.connections / nodes.len() }];
                    let address = node.address;
                    let count = |_, _| {
                        storm.answered.fetch_add(1, Ordering::Relaxed);
                        true
                    };
                    scope.spawn(move || drive(address, &load, Duration::from_secs(600), count))
                })
                .collect();
            for node in running {
                let one = node.join().map_err(|_| "a thread panicked")??.pop().unwrap_or_default();
                expect_ok("logouts", &one)?;
                measured.push(one);
            }
            Ok(signing.join().map_err(|_| "signing panicked")?)
        })?;
        next = following;
    }
    Ok(measured)
}

/// Forward-auth of one session a second, over PostgreSQL and over SQLite, round by round.
fn compare_forward_auth(
    arguments: &Arguments,
    folder: &Path,
    provider: &Provider,
) -> Result<Vec<[f64; 2]>, Failed> {
    std::fs::create_dir_all(folder)?;
    let database = Postgres::start(&folder.join("postgres"))?;
    let binary = &arguments.claimgate;
    let servers = [
        Claimgate::start_on_postgres(binary, &folder.join("node"), provider, &database.url)?,
        Claimgate::start(binary, &folder.join("sqlite"), provider)?,
    ];
    let mut requests = Vec::new();
    for server in &servers {
        let cookie = sign_in(&mut Kept::new(server.address)?, "ada")?;
        let request = get(server.address, "/auth", &format!("Cookie: {cookie}\r\n"));
        requests.push(Requests::new(std::iter::repeat_n(request, REQUESTS)));
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = [0.0; 2];
        for (place, (server, requests)) in servers.iter().zip(&requests).enumerate() {
            let load = Load { requests, connections: arguments.connections };
            let measured = drive(server.address, &[load], Duration::from_secs(600), |_, _| true)?;
            let measured = measured.into_iter().next().unwrap_or_default();
            expect_ok("forward-auth", &measured)?;
            round[place] = measured.per_second();
        }
        eprintln!("forward-auth: {:.0}/s over PostgreSQL, {:.0}/s over SQLite", round[0], round[1]);
        rounds.push(round);
    }
    Ok(rounds)
}

fn write(arguments: &Arguments, rows: &[Row], auth: &[[f64; 2]]) -> String {
    let mut out = format!(
        "# Nodes\n\nWritten by `benches/load/run --nodes`; do not edit. PostgreSQL {} on the same two cores as the nodes, the load \
         generator and the provider: what more nodes add is availability, and here no rate. HS256, {} connections in all, logouts \
         that end no session, and one in {SAMPLED} beside them that ends one, at one node; *ended* is the time from its answer until the \
         next node refuses the session, which is asked every {} ms.\n\n\
         | nodes | logouts | a second | p50 ms | p99 ms | node CPU µs each | PostgreSQL CPU µs each | ended: p50 ms | p99 ms | most ms (of sessions) |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        rows.first().map_or("", |row| &row.version),
        arguments.connections,
        PAUSE.as_millis(),
    );
    for row in rows {
        let ended = |share: f64| row.ended[((row.ended.len() - 1) as f64 * share) as usize];
        writeln!(
            out,
            "| {} | {} | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} ({}) |",
            row.nodes,
            row.logouts,
            row.per_second,
            row.p50,
            row.p99,
            row.node_cpu,
            row.database_cpu,
            ended(0.5),
            ended(0.99),
            ended(1.0),
            row.ended.len(),
        )
        .expect("writing to a string");
    }
    let mut ratios: Vec<f64> = auth.iter().map(|[postgres, sqlite]| postgres / sqlite).collect();
    ratios.sort_by(f64::total_cmp);
    let rates = |place: usize| {
        let rates: Vec<String> = auth.iter().map(|round| format!("{:.0}", round[place])).collect();
        rates.join(", ")
    };
    writeln!(
        out,
        "\nForward-auth of a session that the node has in its cache: {} requests/s over PostgreSQL, {} over SQLite, in turns; the median \
         of the ratios is {:.2}.",
        rates(0),
        rates(1),
        ratios[ratios.len() / 2],
    )
    .expect("writing to a string");
    out
}
