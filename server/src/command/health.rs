//! `claimgate health`: asks the server of a configuration file how it is, for container engines and scripts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use claimgate_config::{Config, Listener};

use super::runtime::runtime;
use crate::command::output::{self, Failure};

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate health --config /etc/claimgate/claimgate.toml\n  \
    claimgate health --live --config /etc/claimgate/claimgate.toml\n\n\
    Asks the server at the address `listen` of the file, and reads no secret. With TLS the certificate is not \
    checked: the question goes to this machine and holds nothing secret.\n\
    Exit codes: 0 ready, 1 not ready or no answer, 2 the file cannot be read.")]
pub(crate) struct Arguments {
    /// The configuration file of the server
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    config: PathBuf,
    /// Ask only whether the process answers (`/healthz`), not whether its store works (`/readyz`)
    #[arg(long)]
    live: bool,
    /// Longest time for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let listener = listener(&self.config)?;
        let scheme = if listener.tls { "https" } else { "http" };
        let path = if self.live { "/healthz" } else { "/readyz" };
        let url = format!("{scheme}://{}{path}", reachable(listener.address));
        let (status, text) =
            runtime()?.block_on(ask(&url, Duration::from_secs(self.timeout))).map_err(|error| {
                let cause = deepest(&error);
                Failure::Refused {
                    code: "health.unreachable",
                    message: format!("no answer from {url}: {cause}"),
                }
            })?;
        output::text(&format!("{}\n", text.trim_end()))?;
        if status == reqwest::StatusCode::OK {
            return Ok(());
        }
        let message = format!("{url} answers {}", status.as_u16());
        Err(Failure::Refused { code: "health.not_ready", message })
    }
}

/// Reads where the server of a file listens.
fn listener(file: &Path) -> Result<Listener, Failure> {
    Config::listener(file).map_err(|error| Failure::Usage(error.with_codes()))?.ok_or_else(|| {
        Failure::Usage(format!("{}: there is no [server] section, so no server listens", file.display()))
    })
}

/// Returns the address by which this machine reaches a listener: an unspecified address stands for all of the machine's.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Requests a probe's answer, without a proxy.
async fn ask(url: &str, timeout: Duration) -> Result<(reqwest::StatusCode, String), reqwest::Error> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let mut answer = client.get(url).send().await?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = MAX_ANSWER - text.len();
        text.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok((answer.status(), String::from_utf8_lossy(&text).into_owned()))
}

/// Returns the innermost cause, which says more than the error of the client.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
