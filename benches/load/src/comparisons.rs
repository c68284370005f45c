//! Comparisons within one run, in turns: logouts with and without events; forward-auth by cookie without and with
//! access rules, and by bearer tokens beside their bare verification.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::claimgate::{Claimgate, VERIFY_SECRET, get, logout, secret};
use crate::client::{Load, Requests, drive};
use crate::measure::{Logouts, PATH, expect_ok, of, one};
use crate::provider::Provider;
use crate::report::{load_average, machine, median, quantile};
use crate::{Arguments, Failed, steady};

/// What the tokens of programs are for.
pub const AUDIENCE: &str = "https://app.example.com/api";
/// Applications, and rules of each.
const APPLICATIONS: usize = 10;
const RULES: usize = 10;

/// A kind of requests, and its runs.
struct Compared {
    name: &'static str,
    runs: Vec<Logouts>,
}

pub fn table(arguments: &Arguments) -> Result<String, Failed> {
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let provider = Provider::start(&arguments.claimgate, folder.path(), 1)?;
    eprintln!("signing {} tokens of each kind", arguments.tokens);
    let logouts = provider.logout_tokens(arguments.tokens);
    let bearer = provider.access_tokens(arguments.tokens);
    let with = |name| Compared { name, runs: Vec::new() };
    let mut events = [
        with("each ending a live session, with events"),
        with("each ending a live session, without events"),
        with("without a session, with events"),
        with("without a session, without events"),
    ];
    let mut access = [
        with("by cookie, without rules"),
        with("by cookie, with rules"),
        with("by bearer token (RS256), with rules"),
        with("`/api/v1/verify` of the same tokens, for comparison"),
    ];
    for round in 0..arguments.rounds {
        let place = |name: &str| folder.path().join(format!("{name}-{round}"));
        // The first of a pair is the second in the next round.
        let mut order = [0, 1, 2, 3];
        if round % 2 == 1 {
            order = [1, 0, 3, 2];
        }
        for which in order {
            let run = storm(arguments, &place("events"), &provider, &logouts, which)?;
            eprintln!("logouts {}: {:.0}/s", events[which].name, run.per_second);
            events[which].runs.push(run);
        }
        forward_auth(arguments, &place("access"), &provider, &bearer, &mut access)?;
    }
    Ok(write(arguments, &events, &access))
}

/// A storm of logouts: even numbers with events, and the first two with a session for each.
fn storm(
    arguments: &Arguments,
    place: &Path,
    provider: &Provider,
    tokens: &[String],
    which: usize,
) -> Result<Logouts, Failed> {
    let tables = if which % 2 == 0 { "" } else { "[events]\nenabled = false\n" };
    let sessions = if which < 2 { tokens.len() } else { 0 };
    let server = Claimgate::start_with(&arguments.claimgate, place, provider, sessions, tables)?;
    let requests = Requests::new(tokens.iter().map(|token| logout(server.address, PATH, token)));
    let measured = measure(arguments, &server, "logouts", &requests)?;
    drop(server);
    std::fs::remove_dir_all(place)?;
    Ok(measured)
}

fn measure(
    arguments: &Arguments,
    server: &Claimgate,
    what: &str,
    requests: &Requests,
) -> Result<Logouts, Failed> {
    let load = Load { requests, connections: arguments.connections };
    let (seconds, cpu) = (Duration::from_secs_f64(arguments.seconds), server.cpu());
    let measured = one(drive(server.address, &[load], seconds, |_, _| true)?);
    expect_ok(what, &measured)?;
    Ok(of(&measured, server.cpu() - cpu))
}

/// Applications with rules that do not fit, and one at the end that does.
fn applications() -> String {
    let mut text = format!("[provider.verify]\nkind = \"access_token\"\naudience = \"{AUDIENCE}\"\n");
    for application in 0..APPLICATIONS {
        let lines = format!(
            "[[application]]\nname = \"app-{application}\"\nhosts = [\"app-{application}.example.com\"]\n\
             bearer_audience = [\"{AUDIENCE}\"]\n"
        );
        text.push_str(&lines);
        for rule in 1..RULES {
            text.push_str(&format!(
                "[[application.rule]]\npaths = [\"/area-{rule}/*\"]\nmethods = [\"GET\", \"POST\"]\nteams = [\"team-{rule}\"]\n"
            ));
        }
        text.push_str("[[application.rule]]\npaths = [\"/*\"]\nallow = \"signed_in\"\n");
    }
    text
}

fn forward_auth(
    arguments: &Arguments,
    place: &Path,
    provider: &Provider,
    tokens: &[String],
    compared: &mut [Compared; 4],
) -> Result<(), Failed> {
    let sessions = tokens.len();
    let requested = |number: usize, credential: String| {
        let host = number % APPLICATIONS;
        format!(
            "X-Forwarded-Host: app-{host}.example.com\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Method: GET\r\n\
             X-Forwarded-Uri: /pages/{number}?of=a-list\r\n{credential}\r\n"
        )
    };
    let cookie = |number: usize| format!("Cookie: claimgate={}", secret(number));
    for (which, tables) in [(0, String::new()), (1, applications())] {
        let place = place.join(which.to_string());
        let server = Claimgate::start_with(&arguments.claimgate, &place, provider, sessions, &tables)?;
        let address = server.address;
        let by_cookie = Requests::new(
            (0..sessions).map(|number| get(address, "/auth", &requested(number, cookie(number)))),
        );
        let mut run = |which: usize, requests: &Requests| -> Result<(), Failed> {
            let run = measure(arguments, &server, compared[which].name, requests)?;
            eprintln!("forward-auth {}: {:.0}/s", compared[which].name, run.per_second);
            compared[which].runs.push(run);
            Ok(())
        };
        run(which, &by_cookie)?;
        if which == 1 {
            // Each token comes once at each of the two.
            let by_token = tokens.iter().enumerate().map(|(number, token)| {
                get(address, "/auth", &requested(number, format!("Authorization: Bearer {token}")))
            });
            let half = by_token.take(tokens.len() / 2);
            run(2, &Requests::new(half))?;
            let answer = steady::ask(address, &verify(address, &tokens[0]))?;
            if !answer.contains("\"active\":true") {
                return Err(format!("a token is not accepted: {answer}").into());
            }
            let verified = tokens[tokens.len() / 2..].iter().map(|token| verify(address, token));
            run(3, &Requests::new(verified))?;
        }
        drop(server);
        std::fs::remove_dir_all(&place)?;
    }
    Ok(())
}

fn verify(address: std::net::SocketAddr, token: &str) -> String {
    let body = format!("token={token}");
    format!(
        "POST /api/v1/verify HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: Bearer {VERIFY_SECRET}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn write(arguments: &Arguments, events: &[Compared], access: &[Compared]) -> String {
    let mut out = format!(
        "# Comparisons\n\n\
         Written by `benches/load/run --comparisons`; do not edit. Server, load generator and provider run on the same\n\
         cores, over loopback. No token and no session comes twice to a server. What is compared takes turns in one run.\n\n\
         - machine: {}\n- load average of the machine at the end: {}\n\
         - {} connections, {} s each, {} rounds; medians, and of the ratios the median of the rounds\n\
         - a release build of Claimgate, its log at info in a file\n\n",
        machine(),
        load_average(),
        arguments.connections,
        arguments.seconds,
        arguments.rounds
    );
    out.push_str("## Logouts with and without events\n\n");
    rows(&mut out, "logouts", events);
    let ratio = |one: &Compared, other: &Compared, value: fn(&Logouts) -> f64| {
        let ratios: Vec<f64> =
            one.runs.iter().zip(&other.runs).map(|(one, other)| value(one) / value(other)).collect();
        quantile(&ratios, 0.5)
    };
    let rate = |run: &Logouts| run.per_second;
    let sentence = format!(
        "\nWith events a server takes **{:.1} %** of the logouts that it takes without, each ending a live session;\n\
         {:.1} % where none ends one.\n\n",
        100.0 * ratio(&events[0], &events[1], rate),
        100.0 * ratio(&events[2], &events[3], rate)
    );
    out.push_str(&sentence);
    out.push_str("## Forward-auth with access rules and bearer tokens\n\n");
    let _ = writeln!(
        out,
        "{APPLICATIONS} applications of {RULES} rules each, of which the last fits. Each bearer token is verified: none\n\
         comes twice.\n"
    );
    rows(&mut out, "requests", access);
    let _ = writeln!(
        out,
        "\nWith rules **{:.1} %** of the rate by cookie without rules. By bearer token **{:.2}** times the processor time\n\
         of the bare verification.",
        100.0 * ratio(&access[1], &access[0], rate),
        ratio(&access[2], &access[3], |run| run.cpu)
    );
    out
}

fn rows(out: &mut String, what: &str, compared: &[Compared]) {
    let _ = writeln!(
        out,
        "| {what} | {what}/s | p50 ms | p99 ms | server CPU µs each |\n| --- | --- | --- | --- | --- |"
    );
    for Compared { name, runs } in compared {
        let run = median(runs);
        let _ = writeln!(
            out,
            "| {name} | {:.0} | {:.2} | {:.2} | {:.1} |",
            run.per_second, run.p50, run.p99, run.cpu
        );
    }
}
