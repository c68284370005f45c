//! `claimgate demo`: the server, and a development provider beside it, on loopback alone.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::config::Config;
use crate::demo::{DemoClient, DemoProvider};
use crate::store::Store;
use crate::web::{Server, password, run};
use claimgate::alg::Registry;
use claimgate::oidc::records::{Records, StoreError};
use claimgate::oidc::user::UserKind;

use super::serve::{LogArguments, runtime, stop_signal};
use crate::command::input;
use crate::command::output::{self, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate demo\n\n\
    Then open the printed address: sign in as one of three people, see why they are in their\n\
    teams, and send a back-channel logout from the provider's page. Nothing is kept.\n\
    It listens on loopback and refuses anything else.")]
pub(crate) struct Arguments {
    /// Where the server listens; a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the development provider listens; a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    provider: SocketAddr,
    #[command(flatten)]
    log: LogArguments,
}

/// The administrator of the demonstration.
const ADMIN: &str = "root";

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        for address in [self.listen, self.provider] {
            if !address.ip().is_loopback() {
                return Err(Failure::Usage(format!(
                    "{address} is not a loopback address; anybody could sign in as anybody"
                )));
            }
        }
        self.log.start()?;
        runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), Failure> {
        let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
        let provider = listen(self.provider, "--provider")?;
        let issuer = url(provider.local_addr().map_err(|error| usage(&error))?);
        // Known before the server listens: its address is in the configuration, and a port that is
        // taken is said before anything else.
        let listen = listen(self.listen, "--listen")?.local_addr().map_err(|error| usage(&error))?;
        let site = url(listen);
        let secret = random();
        let config = Config::parse(
            &configuration(&site, listen, &issuer, &secret),
            "the demonstration's configuration",
            Path::new(""),
            &Registry::builtin(),
        )
        .map_err(|error| usage(&error))?;
        let client = DemoClient {
            client_id: "claimgate-demo".to_owned(),
            client_secret: secret,
            site: format!("{site}/"),
            redirect_uri: format!("{site}/callback/demo"),
            post_logout_redirect_uri: format!("{site}/logged-out"),
            backchannel_logout_uri: format!("{site}/api/v1/backchannelLogout"),
        };
        let demo = DemoProvider::new(issuer.clone(), client).map_err(|error| usage(&error))?;
        let provider = tokio::net::TcpListener::from_std(provider).map_err(|error| usage(&error))?;
        let router = demo.router();
        tokio::spawn(async move { axum::serve(provider, router).await });

        let store = Store::in_memory().map_err(|error| usage(&error))?;
        let admin_password = random();
        let hash = password::hash(&admin_password).map_err(|error| usage(&error))?;
        let made = store.transact(move |records| -> Result<(), StoreError> {
            let now = input::now();
            let admin = records.create_user(ADMIN, UserKind::Admin, now)?;
            records.set_password(admin.id, &hash, now)
        });
        made.await.map_err(|error| usage(&error))?;
        let server = Server::explaining(config, store).await.map_err(|error| usage(&error))?;
        output::write(
            format!(
                "Claimgate demonstration, on this machine alone. Ctrl-C stops it; nothing is kept.\n\n  \
                sign in          {site}/\n  \
                the provider     {issuer}/   (sends back-channel logouts)\n  \
                by password      {ADMIN} / {admin_password}\n\n"
            )
            .as_bytes(),
        )?;
        let (_never, reloads) = tokio::sync::mpsc::channel(1);
        run::run(server, stop_signal()?, reloads).await.map_err(|error| usage(&error))
    }
}

fn configuration(site: &str, listen: SocketAddr, issuer: &str, secret: &str) -> String {
    format!(
        r#"
[server]
public_url = "{site}"
listen = "{listen}"

[sign_in]
create_users = true
sync_profile = true
sync_teams = true

[provider]
name = "demo"
title = "the development provider"
issuer = "{issuer}"
client_id = "claimgate-demo"
client_secret = "{secret}"

[identity]
username = "preferred_username"
groups = ["$.realm_access.roles[*]", "groups"]
default_teams = ["Everybody"]

[[identity.team]]
group = "crm-admin"
team = "Administrators"

[[identity.team]]
prefix = "/crm/"
team = "CRM {{rest}}"
"#
    )
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener)).map_err(
        |error| Failure::Usage(format!("cannot listen on {address}: {error}; choose another with {flag}")),
    )
}

fn random() -> String {
    let mut fill = |bytes: &mut [u8]| getrandom::fill(bytes).expect("the operating system gives randomness");
    claimgate::oidc::random_token(&mut fill)
}
