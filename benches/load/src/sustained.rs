//! Logouts for minutes: whether the rate, the time of an answer and the memory stay what they were in the first ten
//! seconds, and how long the start takes afterwards.
//!
//! Tokens are by HS256, because no core signs as many by RS256 beside the measurement; the work of the store is the
//! same. A part of them ends a live session each.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::claimgate::{Claimgate, logout};
use crate::client::{Load, Measured, Requests, drive};
use crate::measure::{PATH, expect_ok};
use crate::provider::Provider;
use crate::{Arguments, Failed};

/// Sessions that are live at the start.
const SESSIONS: usize = 1_000_000;
/// One logout in so many ends one of them.
const ENDING: usize = 25;
/// Length of one piece of the run; its tokens are signed during the piece before.
const PIECE: Duration = Duration::from_secs(5);
/// Tokens signed for each piece: more than are answered in one.
const TOKENS: usize = 250_000;

/// One piece of the run.
struct Piece {
    answered: usize,
    seconds: f64,
    /// Milliseconds.
    p99: f64,
    slowest: f64,
    /// MiB.
    resident: f64,
}

/// Runs for so many minutes, and returns a table with a row for the first ten seconds and for each minute.
pub fn table(arguments: &Arguments, minutes: usize) -> Result<String, Failed> {
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let provider = Provider::start(&arguments.claimgate, folder.path(), 1)?;
    let place = folder.path().join("sustained");
    eprintln!("opening {SESSIONS} sessions");
    let (mut server, empty_start) =
        Claimgate::start_sustained(&arguments.claimgate, &place, &provider, SESSIONS)?;
    let requests = |piece: usize| {
        let numbers = piece * TOKENS..(piece + 1) * TOKENS;
        Requests::new(numbers.map(|number| {
            // The sessions have the first numbers, and no other token names one of these.
            let person = match number % ENDING {
                0 => number / ENDING,
                _ => SESSIONS + number,
            };
            logout(server.address, PATH, &provider.symmetric_logout_token(number, person))
        }))
    };
    let count = minutes * 60 / usize::try_from(PIECE.as_secs())?;
    let (mut pieces, mut next) = (Vec::new(), requests(0));
    for piece in 0..count {
        let (measured, following) = std::thread::scope(|scope| {
            let following = scope.spawn(|| requests(piece + 1));
            let load = Load { requests: &next, connections: arguments.connections };
            let measured = drive(server.address, &[load], PIECE, |_, _| true);
            (measured, following.join())
        });
        next = following.map_err(|_| "signing panicked")?;
        let measured: Measured = measured?.pop().unwrap_or_default();
        expect_ok("logouts", &measured)?;
        let quantile = |share| measured.quantile(share) / 1000.0;
        pieces.push(Piece {
            answered: measured.answered.len(),
            seconds: measured.seconds,
            p99: quantile(0.99),
            slowest: quantile(1.0),
            resident: server.resident(),
        });
        eprintln!("{piece}: {:.0}/s", measured.per_second());
    }
    server.kill();
    let begun = Instant::now();
    server.restart()?;
    let start = begun.elapsed().as_secs_f64();
    Ok(report(arguments, &pieces, empty_start, start, server.sessions()?))
}

fn report(
    arguments: &Arguments,
    pieces: &[Piece],
    empty_start: f64,
    start: f64,
    sessions: usize,
) -> String {
    let first = usize::try_from(10 / PIECE.as_secs()).unwrap_or(1);
    let a_minute = usize::try_from(60 / PIECE.as_secs()).unwrap_or(1);
    let mut out = format!(
        "# Logouts for minutes\n\nWritten by `benches/load/run --sustained`; do not edit. HS256, {} connections; {SESSIONS} \
         live sessions at the start, one of which ends with each {ENDING}th logout.\n\n\
         | part | logouts/s | p99 ms, of the slowest {} s | slowest ms | memory MiB |\n| --- | --- | --- | --- | --- |\n",
        arguments.connections,
        PIECE.as_secs(),
    );
    let mut row = |name: &str, pieces: &[Piece]| {
        let answered: usize = pieces.iter().map(|piece| piece.answered).sum();
        let seconds: f64 = pieces.iter().map(|piece| piece.seconds).sum();
        let most = |value: fn(&Piece) -> f64| pieces.iter().map(value).fold(0.0, f64::max);
        let (p99, slowest, resident) =
            (most(|piece| piece.p99), most(|piece| piece.slowest), most(|piece| piece.resident));
        let rate = answered as f64 / seconds;
        writeln!(out, "| {name} | {rate:.0} | {p99:.1} | {slowest:.1} | {resident:.0} |")
            .expect("writing to a string");
        rate
    };
    let first_rate = row("first 10 s", &pieces[..first.min(pieces.len())]);
    let mut last_rate = first_rate;
    for (number, minute) in pieces.chunks(a_minute).enumerate() {
        last_rate = row(&format!("minute {}", number + 1), minute);
    }
    let answered: usize = pieces.iter().map(|piece| piece.answered).sum();
    out + &format!(
        "\nThe last minute has {:.2} of the first ten seconds' rate. A start with {SESSIONS} sessions took {empty_start:.1} s, \
         and with {sessions} sessions and {answered} logouts, after `kill -9`, {start:.1} s.\n",
        last_rate / first_rate
    )
}
