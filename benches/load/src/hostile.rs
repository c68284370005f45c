//! What one hostile request costs, at every limit: the worst that a stranger can ask of each endpoint.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::claimgate::{Claimgate, VERIFY_SECRET, get, logout};
use crate::client::{Load, Requests, drive};
use crate::provider::Provider;
use crate::{Arguments, Failed};

/// So few that the largest bodies stay within the share of one address.
const CONNECTIONS: usize = 16;
const REQUESTS: usize = 640;
/// As many guesses as one name has before it must wait.
const GUESSES: usize = 10;

struct Row {
    what: &'static str,
    bytes: usize,
    statuses: String,
    micros: f64,
    kib: f64,
}

/// Asks each, and writes the table.
pub fn table(arguments: &Arguments) -> Result<String, Failed> {
    let folder = tempfile::tempdir()?;
    let provider = Provider::start(&arguments.claimgate, folder.path(), 8)?;
    let mut rows = Vec::new();
    for (what, make) in REQUESTED {
        rows.push(ask(arguments, &folder.path().join("server"), &provider, what, *make)?);
        std::fs::remove_dir_all(folder.path().join("server"))?;
    }
    Ok(write(&rows))
}

type Make = fn(&Provider, std::net::SocketAddr) -> String;

/// The endpoints that strangers reach, each with the dearest that it takes.
const REQUESTED: &[(&str, Make)] = &[
    ("`GET /healthz`, the least there is", |_, to| get(to, "/healthz", "")),
    ("`GET /auth` without a session", |_, to| get(to, "/auth", "")),
    ("`GET /auth`, 36 KiB of cookies", |_, to| get(to, "/auth", &cookies("claimgate", MOST_COOKIES))),
    ("`GET /auth`, 60 KiB of `team` in the query", |_, to| {
        get(to, &format!("/auth?{}", "team=a&".repeat(8_700)), "")
    }),
    ("`GET /auth/redirect`, a path of 60 KiB", |_, to| {
        get(to, &format!("/auth/redirect/{}", "a/".repeat(30_000)), "Accept: text/html\r\n")
    }),
    ("a path of 60 KiB that is not there", |_, to| get(to, &"/a".repeat(30_000), "")),
    ("`GET /login/oidc`, with 52 KiB of sign-in cookies", |_, to| {
        get(to, "/login/oidc", &cookies_of_sign_in(MOST_COOKIES))
    }),
    ("`GET /callback/oidc`, a query of 48 KiB", |_, to| {
        get(to, &format!("/callback/oidc?{}state=x", "code=a&".repeat(7_000)), "")
    }),
    ("logout: 256 KiB that are no form", |_, to| form(to, LOGOUT, &"&".repeat(256 * 1024))),
    ("logout: one byte too many", |_, to| form(to, LOGOUT, &"x".repeat(256 * 1024 + 1))),
    ("logout: a bad signature", |provider, to| logout(to, LOGOUT, &spoilt(&provider.logout_tokens(1)[0]))),
    ("logout: an invented `kid`", |provider, to| {
        logout(to, LOGOUT, &provider.unsigned(r#"{"alg":"RS256","kid":"invented"}"#, ""))
    }),
    ("logout: no `kid`, eight keys tried", |provider, to| {
        logout(to, LOGOUT, &provider.unsigned(r#"{"alg":"RS256"}"#, ""))
    }),
    ("logout: the longest token, no `kid`, eight keys tried", |provider, to| {
        logout(
            to,
            LOGOUT,
            &provider.unsigned(r#"{"alg":"RS256"}"#, &format!(r#","a":"{}""#, "x".repeat(94_000))),
        )
    }),
    ("logout: 40,000 JSON values, eight keys tried", |provider, to| {
        let many = format!(r#","a":[{}1]"#, "1,".repeat(40_000));
        logout(to, LOGOUT, &provider.unsigned(r#"{"alg":"RS256"}"#, &many))
    }),
    ("logout: JSON 40,000 deep", |provider, to| {
        let deep = format!(r#","a":{}{}"#, "[".repeat(40_000), "]".repeat(40_000));
        logout(to, LOGOUT, &provider.unsigned(r#"{"alg":"RS256"}"#, &deep))
    }),
    ("`/api/v1/verify`: the longest token, no `kid`, eight keys tried", |provider, to| {
        let long = provider.unsigned(r#"{"alg":"RS256"}"#, &format!(r#","a":"{}""#, "x".repeat(94_000)));
        form(to, "/api/v1/verify", &format!("token={long}"))
    }),
    (GUESS, |_, to| form(to, "/login/password", "username=nobody&password=a-guess-of-some-length")),
    ("`/login/password`: 250 KiB of password, mostly beyond the limit", |_, to| {
        form(to, "/login/password", &format!("username=nobody&password={}", "x".repeat(250_000)))
    }),
];

const GUESS: &str = "`/login/password`: a guess within the limit";
const LOGOUT: &str = "/api/v1/backchannelLogout";

/// The most bytes of cookies that a head may hold, with what else is in it.
pub const MOST_COOKIES: usize = 53_000;

/// Cookies of sign-ins, up to so many bytes, for the most expensive request of a sign-in.
pub fn cookies_of_sign_in(bytes: usize) -> String {
    cookies("claimgate-login-", bytes)
}

/// Cookies in fields that proxies pass on: of 8 KiB at most.
fn cookies(name: &str, bytes: usize) -> String {
    let each = |number: usize| format!("{name}{number:04}=x; ");
    let by_field = 8_000 / each(0).len();
    let count = (bytes / each(0).len()).min(2_200);
    let numbers: Vec<usize> = (0..count).collect();
    let fields = numbers.chunks(by_field).map(|numbers| {
        let cookies: String = numbers.iter().copied().map(each).collect();
        format!("Cookie: {cookies}\r\n")
    });
    fields.collect()
}

pub fn form(address: std::net::SocketAddr, path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: Bearer {VERIFY_SECRET}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn spoilt(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap_or_default();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{input}.{first}{}", &signature[1..])
}

fn ask(
    arguments: &Arguments,
    folder: &Path,
    provider: &Provider,
    what: &'static str,
    make: Make,
) -> Result<Row, Failed> {
    let server = Claimgate::start(&arguments.claimgate, folder, provider)?;
    let request = make(provider, server.address);
    let bytes = request.len();
    let count = if what == GUESS { GUESSES } else { REQUESTS };
    let requests = Requests::new((0..count).map(|_| request.clone()));
    let load = Load { requests: &requests, connections: CONNECTIONS };
    server.forget_peak();
    let (cpu, memory) = (server.cpu(), server.resident());
    let measured = drive(server.address, &[load], Duration::from_secs(60), |_, _| true)?;
    let answered = &measured[0].answered;
    if answered.is_empty() {
        return Err(format!("{what}: no answer").into());
    }
    let mut statuses = BTreeMap::new();
    for (_, status) in answered {
        *statuses.entry(*status).or_insert(0) += 1;
    }
    let statuses: Vec<String> =
        statuses.iter().map(|(status, count)| format!("{status} ({count})")).collect();
    Ok(Row {
        what,
        bytes,
        statuses: statuses.join(", "),
        micros: (server.cpu() - cpu) * 1e6 / answered.len() as f64,
        kib: (server.peak() - memory).max(0.0) * 1024.0 / CONNECTIONS.min(count) as f64,
    })
}

fn write(rows: &[Row]) -> String {
    let mut out = format!(
        "# Cost of hostile requests\n\n\
         Written by `benches/load/run --hostile`; do not edit. The most expensive request of each kind, sent {REQUESTS} times\n\
         ({GUESSES} times for the password attempt) on {CONNECTIONS} connections to a fresh server with eight RSA keys and an empty\n\
         database. CPU is the time of the whole process divided by the number of answers, including system time\n\
         and log lines; memory is the peak above the start, divided by the number of connections.\n\n\
         | request | bytes sent | answers | CPU µs each | KiB each |\n| --- | --- | --- | --- | --- |\n"
    );
    for row in rows {
        writeln!(
            out,
            "| {} | {} | {} | {:.0} | {:.0} |",
            row.what, row.bytes, row.statuses, row.micros, row.kib
        )
        .expect("writing to a string");
    }
    out
}
