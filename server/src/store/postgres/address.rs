//! Where PostgreSQL is and how it is reached, from settings to a [`Server`].

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::connection::Server;
use super::error::{PostgresError, reason};
use super::tls::Tls;
use claimgate::oidc::client::Secret;

/// How PostgreSQL is reached, as an operator writes it.
///
/// Each connection to another machine is within TLS, and the certificate is verified for the host. To this machine,
/// TLS is used where the URL has `sslmode=require` or `sslmode=verify-full`, which mean the same.
#[derive(Clone, Copy, Debug)]
pub struct Address<'a> {
    /// `postgres://user@host/database`; several hosts, of which one is the primary, are separated by commas.
    pub url: &'a str,
    /// The user's password.
    pub password: Option<&'a Secret>,
    /// Certificates (PEM) to trust in place of the system's.
    pub ca_file: Option<&'a Path>,
    /// Whether `sslmode=disable` is accepted for another machine: passwords, sessions and tokens can then be read and
    /// changed on the way.
    pub danger_plaintext: bool,
}

impl Address<'_> {
    /// Checks the address, and reads the certificates that it names. Does not connect.
    ///
    /// # Errors
    /// [`PostgresError::Url`] or [`PostgresError::Certificates`].
    pub fn resolve(&self) -> Result<Server, PostgresError> {
        let refused = |reason: &str| PostgresError::Url(reason.to_owned());
        let config = self.parse()?;
        if config.get_password().is_some() {
            return Err(refused(
                "it holds a password, which logs and messages would show: write it to a file that `password_file` of [store] \
                 names",
            ));
        }
        if config.get_user().is_none() || config.get_dbname().is_none() || config.get_hosts().is_empty() {
            return Err(refused("it names no user, no host or no database"));
        }
        let is_plain = config.get_ssl_mode() == SslMode::Disable;
        if is_plain && !is_here(&config) && !self.danger_plaintext {
            return Err(refused(
                "`sslmode=disable` sends passwords and sessions to another machine as plain text: leave it out",
            ));
        }
        let needs_tls = config.get_ssl_mode() == SslMode::Require || (!is_plain && !is_here(&config));
        let tls = if needs_tls { Some(Tls::new(Arc::new(self.tls()?))) } else { None };
        let server = Server::new(config, tls);
        server.use_password(self.password);
        Ok(server)
    }

    fn parse(&self) -> Result<Config, PostgresError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| self.url.starts_with(scheme)) {
            return Err(PostgresError::Url("it does not begin with postgres://".to_owned()));
        }
        // The driver knows `require` only, which is as strict here.
        let (place, parameters) = self.url.split_once('?').unwrap_or((self.url, ""));
        let parameters = parameters.split('&').map(|parameter| match parameter {
            "sslmode=verify-full" => "sslmode=require",
            other => other,
        });
        let url = format!("{place}?{}", parameters.collect::<Vec<_>>().join("&"));
        Config::from_str(&url).map_err(|error| PostgresError::Url(reason(&error)))
    }

    /// Builds the configuration of TLS: the certificates of `ca_file`, else the system's.
    fn tls(&self) -> Result<ClientConfig, PostgresError> {
        let refused = |file: &Path, reason: String| PostgresError::Certificates {
            file: file.display().to_string(),
            reason,
        };
        let system =
            |error: rustls::Error| refused(Path::new("the system's certificates"), error.to_string());
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(system)?;
        let Some(file) = self.ca_file else {
            return Ok(builder.with_platform_verifier().map_err(system)?.with_no_client_auth());
        };
        let mut roots = RootCertStore::empty();
        let certificates =
            CertificateDer::pem_file_iter(file).map_err(|error| refused(file, error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| refused(file, error.to_string()))?;
            roots.add(certificate).map_err(|error| refused(file, error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(refused(file, "it holds no certificate".to_owned()));
        }
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// Reports whether every host is this machine.
fn is_here(config: &Config) -> bool {
    let is_loopback = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_loopback),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(url: &str) -> Result<(), String> {
        let address = Address { url, password: None, ca_file: None, danger_plaintext: false };
        address.resolve().map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_that_cannot_be_used_says_what_to_write() {
        for (url, expected) in [
            ("mysql://u@h/d", "begin with postgres://"),
            ("host=h user=u dbname=d", "begin with postgres://"),
            ("postgres://u:secret@h/d", "holds a password"),
            ("postgres://u@h/d?password=secret", "holds a password"),
            ("postgres://h/d", "names no user"),
            ("postgres://u@h", "no database"),
            ("postgres://u@h:port/d", "port"),
            ("postgres://u@h/d?sslmode=verify-ca", "sslmode"),
            ("postgres://u@h/d?sslmode=disable", "plain text"),
            ("postgres://u@localhost,h/d?sslmode=disable", "plain text"),
            ("postgres://u@localhost/d?hostaddr=192.0.2.1&sslmode=disable", "plain text"),
            ("postgres://u@h/d?flavour=mint", "flavour"),
        ] {
            let error = resolve(url).expect_err(url);
            assert!(
                error.contains(expected) && error.contains("postgres://user@host/database"),
                "{url}: {error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn hosts_of_other_machines_are_reached_by_tls_and_this_one_as_it_is_asked_for() {
        for (url, tls) in [
            ("postgres://u@h/d", true),
            ("postgresql://u@h1:5433,h2/d", true),
            ("postgres://u@localhost,h/d", true),
            ("postgres://u@192.0.2.1/d", true),
            ("postgres://u@localhost/d?hostaddr=192.0.2.1", true),
            ("postgres://u@h/d?sslmode=verify-full&connect_timeout=3", true),
            ("postgres://u@localhost/d?sslmode=require", true),
            ("postgres://u@localhost:5433/d", false),
            ("postgres://u@127.0.0.1,[::1]/d?sslmode=disable", false),
            ("postgres://u@%2Fvar%2Frun%2Fpostgresql/d", false),
        ] {
            let address = Address { url, password: None, ca_file: None, danger_plaintext: false };
            let server = address.resolve().expect(url);
            assert_eq!(server.is_encrypted(), tls, "{url}");
        }
        let url = "postgres://u@h/d?sslmode=disable";
        let address = Address { url, password: None, ca_file: None, danger_plaintext: true };
        assert!(!address.resolve().expect(url).is_encrypted());
    }

    #[test]
    fn a_certificate_file_that_cannot_be_used_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (content, expected) in [
            ("", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""),
        ] {
            std::fs::write(file.path(), content).expect("a file to write");
            let ca_file = Some(file.path());
            let address =
                Address { url: "postgres://u@h/d", password: None, ca_file, danger_plaintext: false };
            let error = address.resolve().err().expect("no certificate");
            assert!(
                matches!(&error, PostgresError::Certificates { reason, .. } if reason.contains(expected)),
                "{error}"
            );
            assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
        }
    }
}
