//! One, two and four nodes on one PostgreSQL: logouts at all of them at once, what each costs, and how long a session
//! that a logout at one node ended is still served at the next.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::claimgate::{Claimgate, get, logout};
use crate::client::{Load, Measured, Requests, drive};
use crate::measure::{PATH, expect_ok};
use crate::postgres::Postgres;
use crate::provider::{Provider, now};
use crate::steady::{Kept, sign_in};
use crate::{Arguments, Failed};

/// How many nodes there are in each part of the run.
const NODES: [usize; 3] = [1, 2, 4];
/// People who sign in before a storm and are logged out within it.
const PEOPLE: usize = 400;
/// Tokens signed for each piece of the storm.
const TOKENS: usize = 100_000;
/// Requests of forward-auth for one session, in each round.
const REQUESTS: usize = 150_000;
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
        eprintln!("{nodes} nodes");
        rows.push(storm(arguments, &folder.path().join(nodes.to_string()), &provider, nodes, logouts)?);
    }
    let auth = forward_auth(arguments, &folder.path().join("auth"), &provider)?;
    Ok(write(arguments, &rows, &auth))
}

/// A person's session at the nodes.
struct Session {
    /// `Cookie`, with its value.
    cookie: String,
    person: String,
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
    let nodes = (0..count).map(start).collect::<Result<Vec<_>, _>>()?;
    let sessions = sign_in_all(&nodes[0])?;
    let (cpu, database_cpu) = (nodes.iter().map(Claimgate::cpu).sum::<f64>(), database.cpu());
    let stop = AtomicBool::new(false);
    let (ended, measured) = std::thread::scope(|scope| {
        let ending = scope.spawn(|| end_all(provider, &nodes, &sessions, &stop));
        let measured = send(arguments, provider, &nodes, logouts);
        stop.store(true, Ordering::Relaxed);
        (ending.join(), measured)
    });
    let (pieces, mut ended) = (measured?, ended.map_err(|_| "a thread panicked")??);
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

fn sign_in_all(node: &Claimgate) -> Result<Vec<Session>, Failed> {
    let mut connection = Kept::new(node.address)?;
    (0..PEOPLE)
        .map(|number| {
            let person = format!("person-{number}");
            Ok(Session { cookie: sign_in(&mut connection, &person)?, person })
        })
        .collect()
}

/// Sends logouts that end no session to all nodes at once, in pieces.
fn send(
    arguments: &Arguments,
    provider: &Provider,
    nodes: &[Claimgate],
    logouts: usize,
) -> Result<Vec<Measured>, Failed> {
    let of_node = TOKENS / nodes.len();
    let requests = |piece: usize, node: usize| {
        let first = piece * TOKENS + node * of_node;
        let token = |number: usize| provider.symmetric_logout_token(number, number);
        Requests::new(
            (first..first + of_node).map(|number| logout(nodes[node].address, PATH, &token(number))),
        )
    };
    let all = |piece: usize| (0..nodes.len()).map(|node| requests(piece, node)).collect::<Vec<_>>();
    let (mut measured, mut next) = (Vec::new(), all(0));
    for piece in 0..logouts / TOKENS {
        let following = std::thread::scope(|scope| -> Result<Vec<Requests>, Failed> {
            let signing = scope.spawn(|| all(piece + 1));
            let running: Vec<_> = nodes
                .iter()
                .zip(&next)
                .map(|(node, requests)| {
                    let load = [Load { requests, connections: arguments.connections / nodes.len() }];
                    let address = node.address;
                    scope.spawn(move || drive(address, &load, Duration::from_secs(600), |_, _| true))
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

/// Logs people out one by one, each at one node, and asks the next node for the session until it is refused.
fn end_all(
    provider: &Provider,
    nodes: &[Claimgate],
    sessions: &[Session],
    stop: &AtomicBool,
) -> Result<Vec<f64>, Failed> {
    let mut connections = nodes.iter().map(|node| Kept::new(node.address)).collect::<Result<Vec<_>, _>>()?;
    let mut taken = Vec::new();
    for (number, session) in sessions.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (here, there) = (number % nodes.len(), (number + 1) % nodes.len());
        let auth = get(nodes[there].address, "/auth", &format!("Cookie: {}\r\n", session.cookie));
        if !connections[there].ask(&auth)?.starts_with("HTTP/1.1 200") {
            return Err("a session is not served before its logout".into());
        }
        let token = provider.symmetric_logout(
            usize::MAX - number,
            &session.person,
            &format!("of-{}", session.person),
            now(),
        );
        let answer = connections[here].ask(&logout(nodes[here].address, PATH, &token))?;
        let acknowledged = Instant::now();
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(format!("a logout was answered: {answer}").into());
        }
        while !connections[there].ask(&auth)?.starts_with("HTTP/1.1 401") {
            std::thread::sleep(Duration::from_millis(1));
        }
        taken.push(acknowledged.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(taken)
}

/// Forward-auth of one session a second, over PostgreSQL and over SQLite, round by round.
fn forward_auth(arguments: &Arguments, folder: &Path, provider: &Provider) -> Result<Vec<[f64; 2]>, Failed> {
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
         that end no session. Meanwhile people are logged out one by one, each at one node; *ended* is the time from the answer to \
         such a logout until the next node refuses the session.\n\n\
         | nodes | logouts | a second | p50 ms | p99 ms | node CPU µs each | PostgreSQL CPU µs each | ended: p50 ms | p99 ms | most ms |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        rows.first().map_or("", |row| &row.version),
        arguments.connections
    );
    for row in rows {
        let ended = |share: f64| row.ended[((row.ended.len() - 1) as f64 * share) as usize];
        writeln!(
            out,
            "| {} | {} | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} ({} people) |",
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
