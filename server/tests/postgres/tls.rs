//! TLS to PostgreSQL: the certificate is verified, for the host.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use claimgate_server::store::postgres::{PostgresError, Server, Tls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::engine::{Engine, runtime};

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes an authority.
fn make_authority(folder: &Path) {
    let mut arguments =
        vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    arguments.extend(["-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test authority"]);
    openssl(folder, &arguments);
}

/// Makes the certificate of a server, for the name `localhost`.
fn certify(authority: &Path, data: &Path) {
    let mut arguments =
        vec!["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=db"];
    arguments.extend(["-keyout", "server.key", "-out", "server.csr"]);
    openssl(data, &arguments);
    std::fs::write(authority.join("san"), "subjectAltName=DNS:localhost").unwrap();
    let file = |folder: &Path, name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (request, certificate) = (file(data, "server.csr"), file(data, "server.pem"));
    let mut arguments = vec!["x509", "-req", "-in", &request, "-out", &certificate, "-days", "2"];
    arguments.extend(["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san"]);
    openssl(authority, &arguments);
}

fn trusting(authority: &Path) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Tls::new(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

#[test]
fn the_certificate_of_the_server_is_verified_for_its_host() {
    let [authority, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    make_authority(authority.path());
    make_authority(other.path());
    let Some(engine) = Engine::start_with_tls(|data| certify(authority.path(), data)) else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let at = |host: &str, tls: Option<Tls>| {
            let mut config = tokio_postgres::Config::new();
            config.host(host).hostaddr([127, 0, 0, 1].into()).port(engine.port.unwrap());
            config.user(database.as_str()).dbname(database.as_str());
            Server::new(config, tls)
        };
        let mut connection = at("localhost", Some(trusting(authority.path()))).connect().await.unwrap();
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        assert!(connection.client().query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
        for (case, server, remedy) in [
            ("an authority that is not trusted", at("localhost", Some(trusting(other.path()))), "`ca_file`"),
            ("the name of another host", at("db", Some(trusting(authority.path()))), "host of the URL"),
        ] {
            let refused = server.connect().await.err().unwrap();
            assert!(matches!(refused, PostgresError::Certificate { .. }), "{case}: {refused}");
            assert!(refused.to_string().contains(remedy), "{case}: {refused}");
        }
        // As a reload has it: an authority that signs the server's next certificate is trusted without a restart.
        let running = at("localhost", Some(trusting(other.path())));
        let of_a_node = running.clone();
        assert!(running.use_access_of(&at("localhost", Some(trusting(authority.path())))));
        of_a_node.connect().await.unwrap();
        assert!(running.use_access_of(&at("localhost", Some(trusting(other.path())))));
        assert!(of_a_node.connect().await.is_err(), "and one that is not trusted any more");
        let refused = at("localhost", None).connect().await.err();
        assert!(matches!(refused, Some(PostgresError::Denied(_))), "no TLS: {refused:?}");
    });
}

#[test]
fn a_self_signed_certificate_says_what_is_wrong_with_it() {
    let authority = tempfile::tempdir().unwrap();
    let sign = |data: &Path| {
        make_authority(data);
        std::fs::copy(data.join("ca.pem"), authority.path().join("ca.pem")).unwrap();
        std::fs::rename(data.join("ca.pem"), data.join("server.pem")).unwrap();
        std::fs::rename(data.join("ca.key"), data.join("server.key")).unwrap();
    };
    let Some(engine) = Engine::start_with_tls(sign) else { return };
    let mut config = tokio_postgres::Config::new();
    config.host("localhost").hostaddr([127, 0, 0, 1].into()).port(engine.port.unwrap());
    config.user("super").dbname("postgres");
    let server = Server::new(config, Some(trusting(authority.path())));
    let refused = runtime().block_on(server.connect()).err().unwrap();
    assert!(refused.to_string().contains("without `CA:TRUE`"), "{refused}");
}
