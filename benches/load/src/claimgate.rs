//! Claimgate as a process of its own: configured, filled, started, killed, counted.

use std::collections::HashSet;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, params};

use crate::Failed;
use crate::cpu;
use crate::provider::{CLIENT, Provider, SECRET, now, sid, subject};
use crate::steady::ask;
use crate::target::{Origin, Target};

/// What a service sends to `/api/v1/verify`.
pub const VERIFY_SECRET: &str = "a secret of services that has 32 characters or more";

/// Users that the sessions belong to.
pub const USERS: usize = 1000;

pub struct Claimgate {
    pub address: SocketAddr,
    folder: PathBuf,
    binary: PathBuf,
    process: Option<Child>,
    /// Whether it speaks TLS, with the certificate of [`Claimgate::certificate`].
    tls: bool,
}

impl Claimgate {
    /// Writes a configuration into an empty folder, and starts.
    pub fn start(binary: &Path, folder: &Path, provider: &Provider) -> Result<Self, Failed> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut server =
            Self { address, folder: folder.to_owned(), binary: binary.to_owned(), process: None, tls: false };
        server.configure(provider, "", "")?;
        server.restart()?;
        Ok(server)
    }

    /// Writes the configuration, with further settings of `[server]` and further providers.
    fn configure(&self, provider: &Provider, settings: &str, providers: &str) -> Result<(), Failed> {
        let address = self.address;
        let config = format!(
            "[server]\npublic_url = \"http://{address}\"\nlisten = \"{address}\"\n\
             verify_secret = \"{VERIFY_SECRET}\"\n{settings}\
             [sign_in]\ncreate_users = true\n\
             [[provider]]\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\nclient_secret = \"{SECRET}\"\n\
             userinfo = false\n{providers}",
            provider.issuer
        );
        std::fs::create_dir_all(&self.folder)?;
        std::fs::write(self.folder.join("claimgate.toml"), config)?;
        Ok(())
    }

    /// The certificate of a server that speaks TLS.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// Starts with sessions, a second provider that hangs, a proxy on this machine, and with TLS if asked.
    pub fn start_attacked(
        binary: &Path,
        folder: &Path,
        provider: &Provider,
        sessions: usize,
        tls: bool,
    ) -> Result<Self, Failed> {
        let mut server = Self::start(binary, folder, provider)?;
        server.kill();
        server.open_sessions(provider, sessions)?;
        // Accepts connections and answers nothing, for as long as this process runs.
        let hanging = TcpListener::bind("127.0.0.1:0")?;
        let providers = format!(
            "[[provider]]\nid = \"hanging\"\nissuer = \"http://{}\"\nclient_id = \"x\"\nclient_secret = \"unused\"\n",
            hanging.local_addr()?
        );
        std::mem::forget(hanging);
        server.tls = tls;
        let mut settings = "trusted_proxies = [\"127.0.0.1\"]\n".to_owned();
        if tls {
            let made = Command::new("openssl")
                .args([
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-days",
                    "2",
                ])
                .args(["-subj", "/CN=load", "-addext", "subjectAltName=IP:127.0.0.1"])
                .args([
                    "-addext",
                    "basicConstraints=critical,CA:FALSE",
                    "-keyout",
                    "key.pem",
                    "-out",
                    "certificate.pem",
                ])
                .current_dir(folder)
                .stderr(Stdio::null())
                .status()?;
            if !made.success() {
                return Err("openssl made no certificate".into());
            }
            settings.push_str("tls_certificate = \"certificate.pem\"\ntls_key = \"key.pem\"\n");
        }
        server.configure(provider, &settings, &providers)?;
        server.restart()?;
        Ok(server)
    }

    fn is_ready(&self) -> bool {
        let request = get(self.address, "/readyz", "");
        if self.tls {
            return Target::new(self.address, Some((&self.certificate(), "http/1.1")))
                .is_ok_and(|target| target.ask(Origin::Loopback, &request) == 200);
        }
        ask(self.address, &request).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// The same with a session for each of the first logout tokens.
    pub fn start_with_sessions(
        binary: &Path,
        folder: &Path,
        provider: &Provider,
        sessions: usize,
    ) -> Result<Self, Failed> {
        let mut server = Self::start(binary, folder, provider)?;
        server.kill();
        server.open_sessions(provider, sessions)?;
        server.restart()?;
        Ok(server)
    }

    /// Starts with sessions, with users that are linked to the subjects of access tokens, and with further tables of the
    /// configuration.
    pub fn start_with(
        binary: &Path,
        folder: &Path,
        provider: &Provider,
        sessions: usize,
        tables: &str,
    ) -> Result<Self, Failed> {
        let mut server = Self::start(binary, folder, provider)?;
        server.kill();
        server.open_sessions(provider, sessions)?;
        server.link_users(provider)?;
        server.configure(provider, "", tables)?;
        server.restart()?;
        Ok(server)
    }

    /// Links each user to a subject of an access token, behind the server's back.
    fn link_users(&self, provider: &Provider) -> Result<(), Failed> {
        let mut database = self.database()?;
        let transaction = database.transaction()?;
        for user in 0..USERS {
            transaction.execute(
                "INSERT INTO link (issuer, subject, user) VALUES (?1, ?2, ?3)",
                params![provider.issuer, subject(user), i64::try_from(user + 1)?],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Starts with sessions and a provider that signs by HS256, where no service verifies tokens: a logout is
    /// remembered for a quarter of an hour. Returns how long the start took, too, in seconds.
    pub fn start_sustained(
        binary: &Path,
        folder: &Path,
        provider: &Provider,
        sessions: usize,
    ) -> Result<(Self, f64), Failed> {
        let mut server = Self::start(binary, folder, provider)?;
        server.kill();
        server.open_sessions(provider, sessions)?;
        let file = folder.join("claimgate.toml");
        let config = std::fs::read_to_string(&file)?;
        let config: String = config
            .lines()
            .filter(|line| !line.starts_with("verify_secret"))
            .fold(String::new(), |text, line| text + line + "\n");
        std::fs::write(file, config + "algorithms = [\"HS256\"]\n")?;
        let begun = Instant::now();
        server.restart()?;
        Ok((server, begun.elapsed().as_secs_f64()))
    }

    /// Opens sessions in an empty database, before its first node starts: those of a file, by `claimgate store copy`.
    pub fn open_on_postgres(
        binary: &Path,
        folder: &Path,
        provider: &Provider,
        url: &str,
        sessions: usize,
    ) -> Result<(), Failed> {
        let mut source = Self::start(binary, folder, provider)?;
        source.kill();
        source.open_sessions(provider, sessions)?;
        source.configure(provider, "", &format!("[store]\nurl = \"{url}\"\n"))?;
        let file = folder.join("claimgate.db");
        source.command(&["store", "copy", file.to_str().ok_or("a folder whose name is text")?])
    }

    /// Starts as a node of a database, with a provider that signs ID tokens by RS256 and logout tokens by HS256.
    pub fn start_on_postgres(
        binary: &Path,
        folder: &Path,
        provider: &Provider,
        url: &str,
    ) -> Result<Self, Failed> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut server =
            Self { address, folder: folder.to_owned(), binary: binary.to_owned(), process: None, tls: false };
        let algorithms = "algorithms = [\"RS256\", \"HS256\"]\n";
        server.configure(provider, "", &format!("{algorithms}[store]\nurl = \"{url}\"\n"))?;
        server.restart()?;
        Ok(server)
    }

    pub fn restart(&mut self) -> Result<(), Failed> {
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--config").arg(self.folder.join("claimgate.toml"));
        self.process = Some(command.stderr(log).stdout(Stdio::null()).spawn()?);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if self.is_ready() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("claimgate is not ready; see {}", self.folder.join("log").display()).into())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Seconds of processor time that it has used.
    pub fn cpu(&self) -> f64 {
        self.process.as_ref().map_or(0.0, |process| cpu::seconds(process.id()))
    }

    /// MiB that the process holds.
    pub fn resident(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// Begins to look for the most anew.
    pub fn forget_peak(&self) {
        let id = self.process.as_ref().map_or(0, Child::id);
        // Where the system does not allow it the peak is the whole life's, and the figures too high.
        drop(std::fs::write(format!("/proc/{id}/clear_refs"), "5"));
    }

    /// The most MiB that it has held.
    pub fn peak(&self) -> f64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> f64 {
        let id = self.process.as_ref().map_or(0, Child::id);
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    }

    fn database(&self) -> Result<Connection, Failed> {
        Ok(Connection::open(self.folder.join("claimgate.db"))?)
    }

    /// Opens sessions behind the server's back: the secret of the session is its number.
    fn open_sessions(&self, provider: &Provider, count: usize) -> Result<(), Failed> {
        let mut database = self.database()?;
        let at = i64::try_from(now())?;
        let transaction = database.transaction()?;
        for user in 0..USERS {
            transaction.execute(
                "INSERT INTO user (username, kind, active, profile, teams, created, updated)
                 VALUES (?1, 'regular', 1, '{\"email\":\"somebody@example.com\"}', '{}', ?2, ?2)",
                params![format!("user-{user}"), at],
            )?;
        }
        let mut insert = transaction.prepare(
            "INSERT INTO session (id, user, issuer, subject, sid, issued_at, id_token, created, expires)
             VALUES (?1, 1 + ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?8)",
        )?;
        // As long as an ID token is, which is kept as a hint for signing out.
        let id_token = "x".repeat(1200);
        for index in 0..count {
            insert.execute(params![
                &digest(&SHA256, secret(index).as_bytes()).as_ref()[..16],
                i64::try_from(index % USERS)?,
                provider.issuer,
                subject(index),
                sid(index),
                at - 3600,
                id_token,
                at + 40_000
            ])?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(())
    }

    /// Remembers logouts behind the server's back, of sessions that there never were: each with `sub` and `sid`, its
    /// token still valid, for a quarter of an hour from now.
    pub fn remember_logouts(&self, provider: &Provider, count: usize) -> Result<(), Failed> {
        const OF_ROW: usize = 256;
        let mut database = self.database()?;
        let transaction = database.transaction()?;
        let mut insert =
            transaction.prepare("INSERT INTO logout_batch (issuer, until, entries) VALUES (?1, ?2, ?3)")?;
        let at = i64::try_from(now())?;
        let fingerprint = |number: usize| digest(&SHA256, &number.to_le_bytes()).as_ref()[..16].to_vec();
        for first in (0..count).step_by(OF_ROW) {
            let mut entries = Vec::with_capacity(OF_ROW * ENTRY_LEN);
            for number in first..count.min(first + OF_ROW) {
                entries.push(SESSION_OF_SUBJECT);
                (0..3).for_each(|part| entries.extend(fingerprint(3 * number + part)));
                entries.extend(at.to_le_bytes());
                entries.extend((at * 1000).to_le_bytes());
                (0..2).for_each(|_| entries.extend(LOGOUT_LIFETIME.to_le_bytes()));
            }
            insert.execute(params![provider.issuer, at + i64::from(LOGOUT_LIFETIME), entries])?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(())
    }

    /// Runs a subcommand on the server's configuration.
    pub fn command(&self, arguments: &[&str]) -> Result<(), Failed> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--config").arg(self.folder.join("claimgate.toml"));
        let ran = command.stdout(Stdio::null()).status()?;
        if ran.success() { Ok(()) } else { Err(format!("claimgate {} failed", arguments.join(" ")).into()) }
    }

    /// How many of the acknowledged logouts the database knows, as another program reads it.
    pub fn remembered(&self, acknowledged: &[usize]) -> Result<usize, Failed> {
        let database = self.database()?;
        let mut statement = database.prepare("SELECT entries FROM logout_batch")?;
        let mut known = HashSet::new();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let entries = row.get_ref(0)?.as_blob()?.chunks_exact(ENTRY_LEN);
            known.extend(entries.map(|entry| entry[SID].to_vec()));
        }
        let fingerprint =
            |sid: &str| ring::digest::digest(&ring::digest::SHA256, sid.as_bytes()).as_ref()[..16].to_vec();
        Ok(acknowledged.iter().filter(|index| known.contains(&fingerprint(&sid(**index)))).count())
    }

    /// Waits until the rows of sessions that have ended are deleted, so that the server rests.
    pub fn settle(&self) -> Result<(), Failed> {
        let (database, begun) = (self.database()?, Instant::now());
        let sql = "SELECT count(*) FROM ended_session";
        while database.query_row(sql, [], |row| row.get::<_, i64>(0))? > 0 {
            if begun.elapsed() > Duration::from_secs(120) {
                return Err("rows of ended sessions are not deleted".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// How many sessions the database holds, without those that have ended and whose rows are to be deleted.
    pub fn sessions(&self) -> Result<usize, Failed> {
        let sql = "SELECT (SELECT count(*) FROM session) - (SELECT ifnull(sum(length(sessions)), 0) / 16 FROM ended_session)";
        let count: i64 = self.database()?.query_row(sql, [], |row| row.get(0))?;
        Ok(usize::try_from(count)?)
    }
}

impl Drop for Claimgate {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Bytes of a logout in the table of logouts.
const ENTRY_LEN: usize = 73;
/// The first byte of one with `sid` and `sub`, whose fingerprints follow that of the `jti`.
const SESSION_OF_SUBJECT: u8 = 3;
/// Seconds for which it is kept.
const LOGOUT_LIFETIME: u32 = 900;
/// The place of the fingerprint of its `sid`.
const SID: std::ops::Range<usize> = 17..33;

pub fn secret(index: usize) -> String {
    format!("{index:064x}")
}

/// What is asked for a live session: may this request pass, and as whom.
pub fn forward_auth(address: SocketAddr, path: &str, index: usize) -> String {
    get(address, path, &format!("Cookie: claimgate={}\r\n", secret(index)))
}

pub fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n")
}

pub fn logout(address: SocketAddr, path: &str, token: &str) -> String {
    let body = format!("logout_token={token}");
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
