//! Logouts for minutes: whether the rate, the time of an answer and the memory stay what they were in the first ten
//! seconds, and how long the start takes afterwards.
//!
//! The machine itself is not equally fast for minutes. So the last seconds of each minute go to a second server,
//! which has the same sessions and has worked for a twelfth of the time; the rates of the same minute are compared. It
//! begins when the first has deleted the rows of the sessions that it ended, which it does while it rests.
//!
//! Tokens are by HS256, because no core signs as many by RS256 beside the measurement; the work of the store is the
//! same. A part of them ends a live session each.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::apache;
use crate::claimgate::{Claimgate, logout};
use crate::client::{Load, Measured, Requests, drive};
use crate::measure::{PATH, expect_ok, storm_on_apache};
use crate::provider::Provider;
use crate::report::machine;
use crate::{Arguments, Failed};

/// Sessions that are live at the start.
const SESSIONS: usize = 1_000_000;
/// One logout in so many ends one of them.
const ENDING: usize = 25;
/// Length of one piece of the run; its tokens are signed during the piece before.
const PIECE: Duration = Duration::from_secs(5);
/// Tokens signed for each piece: more than are answered in one.
const TOKENS: usize = 250_000;
/// Pieces of a minute. The last one goes to the second server.
const MINUTE: usize = 12;
/// Tokens for mod_auth_openidc, which is measured once before and once after.
const APACHE_TOKENS: usize = 20_000;

/// One piece of the run.
struct Piece {
    answered: usize,
    seconds: f64,
    /// Milliseconds.
    p99: f64,
    slowest: f64,
    /// MiB.
    resident: f64,
    /// The server's processor time for each logout, in microseconds: other programs on the machine change it less
    /// than the rate.
    cpu: f64,
}

/// Runs for so many minutes, and returns a table with a row for the first ten seconds and for each minute.
pub fn table(arguments: &Arguments, minutes: usize) -> Result<String, Failed> {
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let provider = Provider::start(&arguments.claimgate, folder.path(), 1)?;
    let peer = |place: &str| -> Result<Option<f64>, Failed> {
        if arguments.no_apache || !apache::installed() {
            return Ok(None);
        }
        let tokens = provider.logout_tokens(APACHE_TOKENS);
        let measured = storm_on_apache(arguments, &folder.path().join(place), &provider, &tokens)?;
        eprintln!("mod_auth_openidc {:.0}/s", measured.per_second);
        Ok(Some(measured.per_second))
    };
    let before = peer("apache-before")?;
    eprintln!("opening {SESSIONS} sessions, twice");
    let start = |name: &str| {
        Claimgate::start_sustained(&arguments.claimgate, &folder.path().join(name), &provider, SESSIONS)
    };
    let ((mut server, empty_start), (fresh, _)) = (start("sustained")?, start("fresh")?);
    let target = |piece: usize| if piece % MINUTE == MINUTE - 1 { &fresh } else { &server };
    let requests = |piece: usize| {
        let address = target(piece).address;
        // Each server is sent all numbers from nought, so that as large a part of them ends sessions.
        let of_fresh = piece / MINUTE;
        let own = if piece % MINUTE == MINUTE - 1 { of_fresh } else { piece - of_fresh };
        // Each piece has as many sessions to end; they have the first numbers, and no other token names one of these.
        let of_each = SESSIONS / (minutes * (MINUTE - 1));
        Requests::new((0..TOKENS).map(|place| {
            let number = own * TOKENS + place;
            let person = match (place % ENDING, place / ENDING) {
                (0, ending) if ending < of_each => own * of_each + ending,
                _ => SESSIONS + number,
            };
            logout(address, PATH, &provider.symmetric_logout_token(number, person))
        }))
    };
    let (mut pieces, mut next) = (Vec::new(), requests(0));
    for piece in 0..minutes * MINUTE {
        if piece % MINUTE == MINUTE - 1 {
            server.settle()?;
        } else if piece % MINUTE == 0 {
            fresh.settle()?;
        }
        let cpu = target(piece).cpu();
        let (measured, following) = std::thread::scope(|scope| {
            let following = scope.spawn(|| requests(piece + 1));
            let load = Load { requests: &next, connections: arguments.connections };
            let measured = drive(target(piece).address, &[load], PIECE, |_, _| true);
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
            resident: target(piece).resident(),
            cpu: (target(piece).cpu() - cpu) * 1e6 / measured.answered.len().max(1) as f64,
        });
        eprintln!("{piece}: {:.0}/s", measured.per_second());
    }
    drop(fresh);
    server.kill();
    let begun = Instant::now();
    server.restart()?;
    let start = begun.elapsed().as_secs_f64();
    let sessions = server.sessions()?;
    drop(server);
    let after = peer("apache-after")?;
    let peers: Vec<f64> = before.into_iter().chain(after).collect();
    Ok(report(arguments, &pieces, &peers, [empty_start, start], sessions))
}

fn rate(pieces: &[Piece]) -> f64 {
    let answered: usize = pieces.iter().map(|piece| piece.answered).sum();
    answered as f64 / pieces.iter().map(|piece| piece.seconds).sum::<f64>()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn report(
    arguments: &Arguments,
    pieces: &[Piece],
    peers: &[f64],
    [empty_start, start]: [f64; 2],
    sessions: usize,
) -> String {
    let mut out = format!(
        "# Logouts for minutes\n\nWritten by `benches/load/run --sustained`; do not edit. {}. HS256, {} connections; {SESSIONS} \
         live sessions at the start, one of which ends with each {ENDING}th logout. The last {} s of each minute go to a \
         *younger* server, which has worked for a twelfth of the time.\n\n\
         | part | logouts/s | younger server | ratio | server CPU µs each | p99 ms, of the slowest {} s | slowest ms | memory MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        machine(),
        arguments.connections,
        PIECE.as_secs(),
        PIECE.as_secs(),
    );
    let mut row = |name: &str, pieces: &[Piece], younger: Option<f64>| {
        let most = |value: fn(&Piece) -> f64| pieces.iter().map(value).fold(0.0, f64::max);
        let (p99, slowest, resident) =
            (most(|piece| piece.p99), most(|piece| piece.slowest), most(|piece| piece.resident));
        let rate = rate(pieces);
        let cpu = median(pieces.iter().map(|piece| piece.cpu).collect());
        let (beside, ratio) = younger
            .map_or((String::new(), String::new()), |y| (format!("{y:.0}"), format!("{:.2}", rate / y)));
        writeln!(
            out,
            "| {name} | {rate:.0} | {beside} | {ratio} | {cpu:.1} | {p99:.1} | {slowest:.1} | {resident:.0} |"
        )
        .expect("writing to a string");
    };
    row("first 10 s", &pieces[..2], None);
    let minutes: Vec<(&[Piece], f64)> =
        pieces.chunks(MINUTE).map(|minute| (&minute[..MINUTE - 1], rate(&minute[MINUTE - 1..]))).collect();
    for (number, (minute, younger)) in minutes.iter().enumerate() {
        row(&format!("minute {}", number + 1), minute, Some(*younger));
    }
    let last = &minutes[minutes.len() - minutes.len().div_ceil(3)..];
    let beside_younger = median(last.iter().map(|(minute, younger)| rate(minute) / younger).collect());
    let all: Vec<f64> = minutes.iter().map(|(minute, _)| rate(minute)).collect();
    let answered: usize =
        minutes.iter().flat_map(|(minute, _)| minute.iter()).map(|piece| piece.answered).sum();
    writeln!(
        out,
        "\nIn the last third the median of the minutes is {beside_younger:.2} of the younger server's rate. The median of all \
         minutes is {:.2} of the first ten seconds. A start with {SESSIONS} sessions took {empty_start:.1} s, and with {sessions} \
         sessions and {answered} logouts, after `kill -9`, {start:.1} s.",
        median(all.clone()) / rate(&pieces[..2]),
    )
    .expect("writing to a string");
    if !peers.is_empty() {
        let rates: Vec<String> = peers.iter().map(|rate| format!("{rate:.0}")).collect();
        let mean = peers.iter().sum::<f64>() / peers.len() as f64;
        writeln!(
            out,
            "\nmod_auth_openidc {} (RS256, logouts that end no session), before and after in the same run: {} logouts/s; \
             Claimgate's median minute is {:.1} times their mean.",
            apache::version(),
            rates.join(" and "),
            median(all) / mean,
        )
        .expect("writing to a string");
    }
    out
}
