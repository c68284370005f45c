//! `claimgate demo`: the server and a development provider, or the provider alone, on loopback addresses only.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::demo::{DemoClient, DemoProvider};
use crate::store::{SqliteStore, Store};
use crate::system;
use crate::web::{Server, password, run};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::oidc::random_token;
use claimgate::oidc::records::{Records, SignInRecords, StoreError};
use claimgate::oidc::user::UserKind;
use claimgate_config::{Config, DEFAULT_PROVIDER_ID, Extensions};

use super::logging::LogArguments;
use super::runtime::{runtime, stop_signal};
use crate::command::input;
use crate::command::output::{self, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  claimgate demo\n  \
    claimgate demo --for http://127.0.0.1:8000/sso \\\n    --client-secret-file client-secret\n\n\
    Open the printed address: sign in as one of three people, see which rules decided their teams, \
    and send a back-channel logout from the provider's page. Nothing is stored on disk.\n\
    Both addresses must be loopback addresses.")]
pub(crate) struct Arguments {
    /// Listen address of the server; a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Listen address of the development provider; a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    provider: SocketAddr,
    /// Run the development provider alone, for a server of your own with this public URL, on a loopback address
    #[arg(long = "for", value_name = "URL", requires = "client_secret_file", conflicts_with = "listen")]
    site: Option<String>,
    /// With --for, the file with the secret of the client
    #[arg(long, value_name = "FILE", requires = "site")]
    client_secret_file: Option<PathBuf>,
    #[command(flatten)]
    log: LogArguments,
}

/// The client identifier of the server at the development provider.
const CLIENT_ID: &str = "claimgate-demo";
/// The id of the provider in the configuration of the server, a part of the redirect URI.
const DEMO_ID: &str = "demo";
/// The username of the administrator.
const ADMIN: &str = "root";

impl Arguments {
    pub(crate) fn run(self, extensions: &Extensions) -> Result<(), Failure> {
        for address in [self.listen, self.provider] {
            if !address.ip().is_loopback() {
                return Err(Failure::Usage(format!(
                    "{address} is not a loopback address; the development provider has no passwords, so \
                     anyone who reaches it could sign in as anyone"
                )));
            }
        }
        self.log.start()?;
        match (&self.site, &self.client_secret_file) {
            (Some(site), Some(secret)) => runtime()?.block_on(self.serve_provider_alone(site, secret)),
            _ => runtime()?.block_on(self.serve(extensions)),
        }
    }

    /// Runs the provider for a server of the operator's own.
    async fn serve_provider_alone(&self, site: &str, secret: &Path) -> Result<(), Failure> {
        let endpoint = Endpoint::parse(site, false).map_err(|error| usage(format!("{site}: {error}")))?;
        if !endpoint.is_loopback() {
            return Err(Failure::Usage(format!(
                "{site} is not on a loopback address; the development provider has no passwords, so anyone who \
                 reaches the server could sign in as anyone"
            )));
        }
        let text = String::from_utf8(input::read(&secret.display().to_string())?);
        let secret = text.map_err(|_| usage(format!("{}: the secret is not text", secret.display())))?;
        let secret = secret.trim_end_matches(['\r', '\n']).to_owned();
        if secret.is_empty() {
            return Err(Failure::Usage("the secret is empty".to_owned()));
        }
        let provider = listen(self.provider, "--provider")?;
        let issuer = url(provider.local_addr().map_err(usage)?);
        let site = site.trim_end_matches('/');
        serve_provider(provider, &issuer, (site, DEFAULT_PROVIDER_ID), secret)?;
        output::write(
            format!(
                "Development provider, on this machine only, where anyone signs in as anyone. Ctrl-C stops it.\n\n  \
                issuer           {issuer}\n  \
                client_id        {CLIENT_ID}\n  \
                redirect URI     {site}/callback/{DEFAULT_PROVIDER_ID}\n  \
                its page         {issuer}/   (sends back-channel logouts)\n\n"
            )
            .as_bytes(),
        )?;
        stop_signal()?.await;
        Ok(())
    }

    async fn serve(self, extensions: &Extensions) -> Result<(), Failure> {
        let provider = listen(self.provider, "--provider")?;
        let issuer = url(provider.local_addr().map_err(usage)?);
        // The configuration holds the address, and a port in use is reported before anything starts.
        let listen = listen(self.listen, "--listen")?.local_addr().map_err(usage)?;
        let site = url(listen);
        let secret = random_token(&mut system::random);
        let config = Config::parse(
            &configuration(&site, listen, &issuer, &secret),
            "the demonstration's configuration",
            Path::new(""),
            extensions,
        )
        .map_err(usage)?;
        serve_provider(provider, &issuer, (&site, DEMO_ID), secret)?;
        let store = SqliteStore::in_memory().map_err(usage)?;
        let admin_password = add_admin(&store).await?;
        let server = Server::explaining(config, Store::Sqlite(store)).map_err(usage)?;
        output::write(
            format!(
                "Claimgate demonstration, on this machine only. Ctrl-C stops it; nothing is stored.\n\n  \
                sign in          {site}/\n  \
                the provider     {issuer}/   (sends back-channel logouts)\n  \
                by password      {ADMIN} / {admin_password}   ({site}/login/password)\n\n"
            )
            .as_bytes(),
        )?;
        let (_never, reloads) = tokio::sync::mpsc::channel(1);
        run::run(server, stop_signal()?, reloads).await.map_err(usage)
    }
}

/// Starts the development provider on its listener, for a server that knows it by the id.
fn serve_provider(
    listener: TcpListener,
    issuer: &str,
    (site, id): (&str, &str),
    client_secret: String,
) -> Result<(), Failure> {
    let client = DemoClient {
        client_id: CLIENT_ID.to_owned(),
        client_secret,
        site: format!("{site}/"),
        redirect_uri: format!("{site}/callback/{id}"),
        post_logout_redirect_uri: format!("{site}/logged-out"),
        backchannel_logout_uri: format!("{site}/api/v1/backchannelLogout"),
    };
    let router = DemoProvider::new(issuer.to_owned(), client).map_err(usage)?.router();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(usage)?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// Adds the administrator and returns the generated password.
async fn add_admin(store: &SqliteStore) -> Result<String, Failure> {
    let admin_password = random_token(&mut system::random);
    let hash = password::hash(&admin_password).map_err(usage)?;
    let added = store.transact(move |records| -> Result<(), StoreError> {
        let now = system::now();
        let admin = records.create_user(ADMIN, UserKind::Admin, now)?;
        records.set_password(admin.id, &hash, now)
    });
    added.await.map_err(usage)?;
    Ok(admin_password)
}

fn configuration(site: &str, listen: SocketAddr, issuer: &str, secret: &str) -> String {
    format!(
        r#"
[server]
public_url = "{site}"
listen = "{listen}"

[pages]
name = "Claimgate demonstration"

[sign_in]
create_users = true
sync_profile = true
sync_teams = true

[[provider]]
id = "{DEMO_ID}"
display_name = "the development provider"
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
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

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(error.to_string())
}
