//! The addresses of a server, its cookies, and what its proxy makes of requests: asked of the server that runs, as a
//! browser would, through its public URL.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;

use claimgate::oidc::Response;
use claimgate_config::{Config, Provider, Server};
use claimgate_remote::{Fetch, FetchError, HttpClient};
use http::StatusCode;
use http::header::{ACCEPT, LOCATION, SET_COOKIE};
use ipnet::IpNet;
use url::Url;

use crate::command::report::Report;

/// Most bytes of an answer that is read.
const MOST: usize = 1024 * 1024;
/// What to compare a proxy with.
const PROXY_GUIDE: &str = "docs/guide/forward-auth.md has the proxy's lines";

/// A server that is asked.
struct Site<'a> {
    server: &'a Server,
    client: HttpClient,
}

/// Reports what the addresses and cookies of a configuration mean.
pub(super) fn describe(server: &Server, report: &mut Report) {
    let url = &server.public_url;
    report.line(&format!("public URL {}", url.join("")));
    let host =
        Url::parse(&url.origin).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    match (&server.cookie_domain, url.https) {
        (None, true) => report.good(&format!("https: the session's cookie, __Host-claimgate, is Secure, and for {host} alone")),
        (Some(domain), true) => report.good(&format!(
            "https: the session's cookie, __Secure-claimgate, is Secure, and sent to every host of {domain}: all of them must be trusted"
        )),
        (_, false) => report.note("plain http: the cookies are not Secure; for trials on one machine, and nothing else"),
    }
    let is_behind_proxy = url.https && server.tls.is_none();
    if is_behind_proxy && server.trusted_proxies.is_empty() {
        report.note(
            "a proxy speaks TLS for the server, and trusted_proxies is empty: all people are one client, with one share of \
             requests and password attempts; write the proxy's address there, such as [\"127.0.0.1\"]",
        );
    }
    if server.tls.is_none() && !server.listen.ip().is_loopback() {
        report.note(&format!(
            "the server listens on {} without TLS: let the firewall admit the proxy alone, or listen on 127.0.0.1",
            server.listen
        ));
    }
}

/// Asks the server that runs, and reports what a browser would not get.
/// `file` is the configuration file.
pub(super) async fn ask(config: &Config, server: &Server, file: &Path, report: &mut Report) {
    report.line(&format!("the server that runs, through {}", server.public_url.join("")));
    let client = match HttpClient::new(None, true) {
        Ok(client) => client,
        Err(error) => return report.problem(&error.to_string()),
    };
    let site = Site { server, client };
    let directly = site.is_claimgate(&site.behind_the_proxy()).await;
    let publicly = site.is_claimgate(&server.public_url.join("")).await;
    match (directly, publicly) {
        (_, Ok(())) => report.good("it answers"),
        (Err(_), Err(reason)) => {
            return report.fault(
                &format!("no server answers, neither there ({reason}) nor at {}", server.listen),
                &format!(
                    "start it: `systemctl start claimgate` where it is a service, or `claimgate serve --config {}`; where it is \
                     not to run yet, `claimgate doctor --offline` asks neither it nor the providers",
                    file.display()
                ),
            );
        }
        (Ok(()), Err(reason)) => {
            return report.fault(
                &format!("the server answers at {}, and not at its public URL: {reason}", server.listen),
                &format!("let the name lead to the proxy, and the proxy to {}; {PROXY_GUIDE}", server.listen),
            );
        }
    }
    for provider in &config.providers {
        site.check_sign_in(provider, report).await;
    }
    site.check_client_address(report).await;
}

impl Site<'_> {
    /// Returns the URL of the server without its proxy.
    fn behind_the_proxy(&self) -> String {
        let listen = self.server.listen;
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ip => ip,
        };
        let scheme = if self.server.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", SocketAddr::new(ip, listen.port()), self.server.public_url.path)
    }

    async fn get(&self, address: &str, headers: &[(&'static str, &str)]) -> Result<Response, String> {
        let mut request = http::Request::builder().uri(address).header(ACCEPT, "text/html");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Vec::new()).map_err(|error| error.to_string())?;
        self.client.fetch(request, MOST).await.map_err(|error| match error {
            FetchError::Unreachable { reason, .. } => reason,
            error => error.to_string(),
        })
    }

    /// Asks whether a Claimgate answers at a URL.
    ///
    /// # Errors
    /// What answered in its place.
    async fn is_claimgate(&self, url: &str) -> Result<(), String> {
        let answer = self.get(&format!("{url}/readyz"), &[]).await?;
        let report: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        match report.get("store") {
            Some(_) => Ok(()),
            None => Err(format!("{}, from something that is not Claimgate", answer.status())),
        }
    }

    /// Begins a sign-in, which changes nothing, and compares where it leads with the file.
    async fn check_sign_in(&self, provider: &Provider, report: &mut Report) {
        let url = &self.server.public_url;
        let page = url.join(&format!("/login/{}", provider.id));
        let answer = match self.get(&page, &[]).await {
            Ok(answer) => answer,
            Err(reason) => return report.problem(&format!("{page}: {reason}")),
        };
        if answer.status() != StatusCode::SEE_OTHER {
            return report.fault(
                &format!("{page} answers {}: no sign-in at {} begins", answer.status(), provider.id),
                "reload the server if the file has changed (SIGHUP); otherwise its log has the reason",
            );
        }
        let location =
            answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let query = Url::parse(location)
            .map(|url| url.query_pairs().into_owned().collect::<Vec<_>>())
            .unwrap_or_default();
        let value =
            |name: &str| query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let wanted = url.join(&format!("/callback/{}", provider.id));
        for (name, found, wanted) in [
            ("redirect_uri", value("redirect_uri"), wanted.as_str()),
            ("client_id", value("client_id"), &provider.client.id),
        ] {
            if found != wanted {
                return report.fault(
                    &format!("the server that runs sends people to {} with {name} = {found}, and the file says {wanted}", provider.id),
                    "reload it (SIGHUP), or restart it if the path of public_url has changed",
                );
            }
        }
        report.good(&format!("sign-in at {} begins, and returns to {wanted}", provider.id));
        self.check_cookie(&answer, report);
    }

    /// Judges the cookie of a sign-in as it arrives.
    fn check_cookie(&self, answer: &Response, report: &mut Report) {
        let https = self.server.public_url.https;
        let name = if https { "__Host-claimgate-login-" } else { "claimgate-login-" };
        let cookies = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let Some(cookie) = cookies.into_iter().find(|cookie| cookie.starts_with(name)) else {
            return report.fault(
                &format!("the cookie of the sign-in, {name}…, does not arrive: no sign-in completes"),
                &format!("let the proxy pass Set-Cookie on as it is (in nginx, no proxy_hide_header Set-Cookie); {PROXY_GUIDE}"),
            );
        };
        let attributes: Vec<String> =
            cookie.split(';').skip(1).map(|attribute| attribute.trim().to_ascii_lowercase()).collect();
        let wanted = ["path=/", "httponly"].into_iter().chain(https.then_some("secure"));
        let missing: Vec<&str> =
            wanted.filter(|wanted| !attributes.iter().any(|attribute| attribute == wanted)).collect();
        let has_domain = attributes.iter().any(|attribute| attribute.starts_with("domain="));
        if missing.is_empty() && !has_domain {
            report.good("its cookie arrives as the server sets it");
        } else {
            let what = if has_domain {
                "with a Domain".to_owned()
            } else {
                format!("without {}", missing.join(", "))
            };
            report.fault(
                &format!("the cookie of the sign-in arrives {what}: the proxy changes it"),
                "remove proxy_cookie_path, proxy_cookie_domain and proxy_cookie_flags, or their like, from the proxy",
            );
        }
    }

    /// Finds out whom the server takes this machine for, by `/metrics`, which `metrics_from` alone may read.
    async fn check_client_address(&self, report: &mut Report) {
        if self.server.tls.is_some() {
            return report.good("no proxy is in between: the server speaks TLS itself");
        }
        let metrics = self.server.public_url.join("/metrics");
        let is_admitted = async |headers: &[(&'static str, &str)]| {
            let answer = self.get(&metrics, headers).await;
            answer.map(|answer| answer.status() == StatusCode::OK)
        };
        let (Some(own), Ok(admitted)) = (own_address(&self.server.public_url.origin), is_admitted(&[]).await)
        else {
            return report.note("the address of this machine on the way to the proxy is unknown: X-Forwarded-For is not checked");
        };
        let remedy = format!(
            "write the proxy's address into trusted_proxies, and let it send X-Forwarded-For; {PROXY_GUIDE}"
        );
        if contains(&self.server.trusted_proxies, own) {
            return report.note(&format!(
                "this machine ({own}) is a proxy for the server, and cannot see whether the addresses of clients arrive: run `claimgate doctor` also on another one that `metrics_from` names"
            ));
        }
        match (contains(&self.server.metrics_from, own), admitted) {
            (true, true) => report.good(&format!("the server knows the address of this machine, {own}")),
            (true, false) if own.is_loopback() => report.fault(
                &format!("the server does not see where people come from: it does not take this machine for {own}"),
                &remedy,
            ),
            (true, false) => report.note(&format!(
                "the server does not know that this machine is {own}: a router changes the address, or {remedy}"
            )),
            (false, true) => report.fault(
                &format!("the server takes this machine ({own}) for one of metrics_from: for the proxy, most likely"),
                &remedy,
            ),
            (false, false) if self.server.metrics_from.is_empty() => {
                report.note("metrics_from is empty: whether the proxy says from where people come is not known");
            }
            // Believed, the header makes a client of this machine's address one of metrics_from.
            (false, false) => {
                let admitted = self.server.metrics_from[0].addr().to_string();
                match is_admitted(&[("x-forwarded-for", &admitted)]).await {
                    Ok(true) => report.fault(
                        "clients choose the address that the server takes them for, by X-Forwarded-For of their own",
                        &format!(
                            "let the proxy overwrite X-Forwarded-For, and name the proxy alone in trusted_proxies; {PROXY_GUIDE}"
                        ),
                    ),
                    _ => report.good("no client chooses the address that the server takes it for"),
                }
            }
        }
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address.to_canonical()))
}

/// Returns the address that this machine has on the way to the host of an origin. Nothing is sent.
fn own_address(origin: &str) -> Option<IpAddr> {
    let url = Url::parse(origin).ok()?;
    let address = (url.host_str()?.trim_matches(['[', ']']), url.port_or_known_default()?)
        .to_socket_addrs()
        .ok()?
        .next()?;
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(address).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
