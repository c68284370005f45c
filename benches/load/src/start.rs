//! How long a start takes with many sessions and logouts, and what readers notice of the changes that commands make
//! beside the server.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::claimgate::{Claimgate, USERS};
use crate::provider::Provider;
use crate::report::{machine, quantile};
use crate::steady::forward_auths;
use crate::{Arguments, Failed};

/// Sessions in the database.
const SESSIONS: usize = 1_000_000;
/// Logouts in the database, none of them over.
const LOGOUTS: usize = 10_000_000;
/// How often the server is started with each content.
const STARTS: usize = 5;
/// Commands that each end the sessions of one user, one thousandth of all.
const COMMANDS: usize = 20;
/// Connections that ask, each every millisecond.
const READERS: usize = 4;
/// How long they ask without commands.
const ALONE: Duration = Duration::from_secs(10);

/// The starts with one content of the database.
struct Starts {
    logouts: usize,
    seconds: Vec<f64>,
    /// MiB, once the server is ready.
    resident: f64,
}

/// Milliseconds of what readers see, and of the commands.
struct Readers {
    alone: Vec<f64>,
    beside: Vec<f64>,
    commands: Vec<f64>,
}

/// Measures starts, then readers beside commands.
pub fn table(arguments: &Arguments) -> Result<String, Failed> {
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let provider = Provider::start(&arguments.claimgate, folder.path(), 1)?;
    let place = folder.path().join("server");
    eprintln!("opening {SESSIONS} sessions");
    let (mut server, _) = Claimgate::start_sustained(&arguments.claimgate, &place, &provider, SESSIONS)?;
    let mut contents = vec![starts(&mut server, 0)?];
    server.kill();
    eprintln!("remembering {LOGOUTS} logouts");
    server.remember_logouts(&provider, LOGOUTS)?;
    contents.push(starts(&mut server, LOGOUTS)?);
    let readers = readers(&server)?;
    Ok(report(&contents, &readers))
}

/// Kills and starts the server some times; it runs in the end.
fn starts(server: &mut Claimgate, logouts: usize) -> Result<Starts, Failed> {
    let mut seconds = Vec::new();
    for _ in 0..STARTS {
        server.kill();
        let begun = Instant::now();
        server.restart()?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    eprintln!("{logouts} logouts: {seconds:.2?} s");
    Ok(Starts { logouts, seconds, resident: server.resident() })
}

fn readers(server: &Claimgate) -> Result<Readers, Failed> {
    let alone = read_beside(server, || {
        std::thread::sleep(ALONE);
        Ok(Vec::new())
    })?;
    let beside = read_beside(server, || {
        let mut taken = Vec::new();
        for user in 0..COMMANDS {
            let begun = Instant::now();
            server.command(&["user", "deactivate", &format!("user-{user}")])?;
            taken.push(begun.elapsed().as_secs_f64() * 1000.0);
            // Longer than the server takes to look for changes.
            std::thread::sleep(Duration::from_millis(600));
        }
        Ok(taken)
    })?;
    Ok(Readers { alone: alone.0, beside: beside.0, commands: beside.1 })
}

/// Asks for live sessions while something is done. Returns the milliseconds of each request, and what was done.
fn read_beside(
    server: &Claimgate,
    work: impl FnOnce() -> Result<Vec<f64>, Failed>,
) -> Result<(Vec<f64>, Vec<f64>), Failed> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading: Vec<_> = (0..READERS)
            .map(|reader| {
                // Of users whom no command switches off.
                let sessions =
                    (0..SESSIONS).skip(reader).step_by(READERS).filter(|index| index % USERS >= COMMANDS);
                let stop = &stop;
                scope.spawn(move || {
                    forward_auths(server.address, sessions.cycle(), Duration::from_millis(1), stop)
                })
            })
            .collect();
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let mut taken = Vec::new();
        for reader in reading {
            taken.extend(reader.join().map_err(|_| "a thread panicked")??);
        }
        Ok((taken, done?))
    })
}

fn report(contents: &[Starts], readers: &Readers) -> String {
    let mut out = format!(
        "# Start\n\nWritten by `benches/load/run --start`; do not edit. {}. From the start of the process to a `/readyz` of \
         200, {STARTS} times, each after `kill -9`; the database is in the system's memory.\n\n\
         | sessions | logouts, none of them over | median s | slowest s | memory MiB |\n| --- | --- | --- | --- | --- |\n",
        machine()
    );
    for Starts { logouts, seconds, resident } in contents {
        let (median, slowest) = (quantile(seconds, 0.5), quantile(seconds, 1.0));
        writeln!(out, "| {SESSIONS} | {logouts} | {median:.2} | {slowest:.2} | {resident:.0} |")
            .expect("writing to a string");
    }
    write!(
        out,
        "\n## Readers beside commands\n\nForward-auth from {READERS} connections, every millisecond on each, alone and beside {COMMANDS} \
         commands `user deactivate`, each of which ends {} sessions and takes {:.0} ms in the median: the server follows the \
         change and reads nothing else anew. Milliseconds.\n\n\
         | forward-auth | requests | p50 | p99 | slowest |\n| --- | --- | --- | --- | --- |\n",
        SESSIONS / USERS,
        quantile(&readers.commands, 0.5)
    )
    .expect("writing to a string");
    for (name, taken) in [("alone", &readers.alone), ("beside commands", &readers.beside)] {
        let [p50, p99, slowest] = [0.5, 0.99, 1.0].map(|share| quantile(taken, share));
        writeln!(out, "| {name} | {} | {p50:.2} | {p99:.2} | {slowest:.2} |", taken.len())
            .expect("writing to a string");
    }
    out
}
