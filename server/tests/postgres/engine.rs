//! PostgreSQL for the tests: Debian's or another installation's binaries, with a data folder of their own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use claimgate_server::store::postgres::{Connection, PostgresError, Server, migrate};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Longest wait for a server to start or to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running PostgreSQL. It stops, and its folder is removed, when this value is dropped or the test program ends.
pub(crate) struct Engine {
    folder: TempDir,
    binaries: PathBuf,
    /// A shell that stops the server and removes the folder when its standard input closes.
    supervisor: Child,
    /// The TCP port of a server with TLS.
    pub(crate) port: Option<u16>,
    options: String,
}

/// The number of the newest database.
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Runs a test with a database of its own, or says that it is skipped where no PostgreSQL is installed.
pub(crate) fn with_database<T>(test: impl AsyncFnOnce(Server) -> T) -> Option<T> {
    let engine = Engine::shared()?;
    Some(runtime().block_on(async { test(engine.server(&engine.new_database().await)).await }))
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Returns the folder of the binaries of PostgreSQL 15 or later.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(version, path)| *version >= 15 && path.join("postgres").exists())
        .max();
    let by_config = || {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        path.join("postgres").exists().then_some(path)
    };
    newest.map(|(_, path)| path).or_else(by_config)
}

/// Says that a test is skipped because a fault cannot be made here; fails where `CLAIMGATE_REQUIRE_FAULTS` is set.
pub(crate) fn skip_fault(reason: &str) {
    assert!(
        std::env::var_os("CLAIMGATE_REQUIRE_FAULTS").is_none(),
        "CLAIMGATE_REQUIRE_FAULTS is set, and {reason}"
    );
    eprintln!("SKIPPED: {reason}");
}

/// Returns the numbers of a user to run PostgreSQL as: it refuses to run as root.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let numbers = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    Some(
        numbers("postgres")
            .or_else(|| numbers("nobody"))
            .expect("the system has the user `postgres` or `nobody`"),
    )
}

impl Engine {
    /// Returns the server that tests share, as [`start`](Self::start) does.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Engine>> = OnceLock::new();
        SHARED.get_or_init(Engine::start).as_ref()
    }

    /// Starts a server; `None`, with a line that says so, if none is installed.
    pub(crate) fn start() -> Option<Self> {
        let (folder, binaries) = Self::prepare()?;
        Some(Self::start_in(folder, binaries, None, ""))
    }

    /// Starts a server whose commits reach the disk, as they do after installation.
    pub(crate) fn start_durable() -> Option<Self> {
        let (folder, binaries) = Self::prepare()?;
        Some(Self::start_in(folder, binaries, None, "-c fsync=on"))
    }

    /// Starts a server that also listens, without TLS, at addresses that are separated by commas.
    pub(crate) fn start_at(addresses: &str) -> Option<Self> {
        let (folder, binaries) = Self::prepare()?;
        let rules = "local all all trust\nhost all all all trust\n";
        fs::write(folder.path().join("data/pg_hba.conf"), rules).unwrap();
        let options = format!("-c listen_addresses={addresses}");
        Some(Self::start_in(folder, binaries, None, &options))
    }

    /// Starts a server that also listens with TLS at 127.0.0.1. `certify` writes `server.pem` and `server.key` to the
    /// folder that it gets.
    pub(crate) fn start_with_tls(certify: impl FnOnce(&Path)) -> Option<Self> {
        let (folder, binaries) = Self::prepare()?;
        let data = folder.path().join("data");
        certify(&data);
        fs::write(data.join("pg_hba.conf"), "local all all trust\nhostssl all all all trust\n").unwrap();
        for file in ["server.pem", "server.key", "pg_hba.conf"] {
            fs::set_permissions(data.join(file), fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((user, group)) = unprivileged() {
                chown(data.join(file), Some(user), Some(group)).unwrap();
            }
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.key"
        );
        Some(Self::start_in(folder, binaries, Some(port), &options))
    }

    /// Makes a data folder.
    fn prepare() -> Option<(TempDir, PathBuf)> {
        let Some(binaries) = binaries() else {
            assert!(
                std::env::var_os("CLAIMGATE_REQUIRE_POSTGRES").is_none(),
                "CLAIMGATE_REQUIRE_POSTGRES is set, and no PostgreSQL 15 or later is installed"
            );
            eprintln!("SKIPPED: no PostgreSQL 15 or later is installed (Debian: postgresql)");
            return None;
        };
        let folder = new_folder();
        let arguments = ["--no-sync", "--auth=trust", "--username=super", "--encoding=UTF8", "--pgdata"];
        run(&binaries, "initdb", &arguments, &folder.path().join("data"));
        Some((folder, binaries))
    }

    fn start_in(folder: TempDir, binaries: PathBuf, port: Option<u16>, options: &str) -> Self {
        let options = format!("-c listen_addresses= {options}");
        let supervisor = supervise(&binaries, folder.path(), &options);
        let engine = Self { folder, binaries, supervisor, port, options };
        let deadline = Instant::now() + PATIENCE;
        while !engine.is_ready() {
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {}", engine.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        engine
    }

    fn is_ready(&self) -> bool {
        let mut command = Command::new(self.binaries.join("pg_isready"));
        command
            .arg("-q")
            .arg("-h")
            .arg(self.folder.path())
            .args(self.port.map(|port| format!("-p{port}")))
            .status()
            .unwrap()
            .success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Requires a password of a user from when the server reads its configuration again.
    pub(crate) fn require_password(&self, user: &str) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock();
        let file = self.folder.path().join("data/pg_hba.conf");
        let rules = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("local all {user} scram-sha-256\n{rules}")).unwrap();
    }

    /// Describes the connection of a user to a database.
    pub(crate) fn config(&self, user: &str, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).user(user).dbname(database).port(self.port.unwrap_or(5432));
        config
    }

    /// Returns the URL of a user and a database.
    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        let host = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://{user}@{host}/{database}")
    }

    /// Makes an empty database that belongs to an ordinary user of the same name. Returns the name.
    pub(crate) async fn new_database(&self) -> String {
        let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let client = self.superuser("postgres").await;
        client.batch_execute(&format!("CREATE USER {name}")).await.unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name} OWNER {name}")).await.unwrap();
        name
    }

    /// Copies a database that no one is connected to. Returns the name of the copy, which belongs to the same user.
    pub(crate) async fn copy_of(&self, template: &str) -> String {
        let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let client = self.superuser("postgres").await;
        let sql = format!("CREATE DATABASE {name} OWNER {template} TEMPLATE {template}");
        // Connections that were dropped take a moment to close.
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = client.batch_execute(&sql).await {
            assert!(Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        name
    }

    /// Removes a database, and ends its connections.
    pub(crate) async fn remove(&self, database: &str) {
        let client = self.superuser("postgres").await;
        client.batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)")).await.unwrap();
    }

    /// Describes the connection of the owner of a database that [`new_database`](Self::new_database) made.
    pub(crate) fn server(&self, database: &str) -> Server {
        Server::new(self.config(database, database), None)
    }

    /// Returns the name of the server's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    /// Returns the address of a database for another process.
    pub(crate) fn address(&self, database: &str) -> String {
        format!("host={} user={database} dbname={database}", self.folder.path().display())
    }

    /// Connects as the superuser.
    pub(crate) async fn superuser(&self, database: &str) -> Client {
        let (client, driver) = self.config("super", database).connect(NoTls).await.unwrap();
        tokio::spawn(driver);
        client
    }

    /// Starts a server that follows this one.
    pub(crate) fn start_standby(&self) -> Self {
        let folder = new_folder();
        let source = self.folder.path().to_str().unwrap();
        let arguments = ["-h", source, "-U", "super", "-R", "-X", "stream", "-c", "fast", "--no-sync", "-D"];
        run(&self.binaries, "pg_basebackup", &arguments, &folder.path().join("data"));
        Self::start_in(folder, self.binaries.clone(), None, "")
    }

    /// Lets each commit wait for the standby, once it follows.
    pub(crate) async fn require_standby(&self) {
        let client = self.superuser("postgres").await;
        client.batch_execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline, "no standby follows");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a standby has all that was written.
    pub(crate) async fn until_followed(&self) {
        let client = self.superuser("postgres").await;
        let deadline = Instant::now() + PATIENCE;
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()";
        while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline, "no standby follows");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes a standby a primary, and waits until it is.
    pub(crate) fn promote(&self) {
        run(&self.binaries, "pg_ctl", &["promote", "--wait", "--pgdata"], &self.folder.path().join("data"));
    }

    /// Returns the number of the server's first process.
    fn process(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// Sends a signal to the server's first process and to those that it has started.
    fn signal(&self, signal: Signal) {
        let Some(first) = self.process() else { return };
        let name = format!("/proc/{0}/task/{0}/children", first.as_raw_pid());
        let children = fs::read_to_string(name).unwrap_or_default();
        let children =
            children.split_whitespace().map(|child| Pid::from_raw(child.parse().unwrap()).unwrap());
        for process in children.chain([first]) {
            // One may have ended.
            let _ = kill_process(process, signal);
        }
    }

    /// Stops the server's processes, which stay, until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets the server's processes go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the server as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let server = self.process().unwrap();
        // The supervisor first: it would remove the folder.
        self.supervisor.kill().unwrap();
        self.supervisor.wait().unwrap();
        kill_process(server, Signal::KILL).unwrap();
    }

    /// Starts the server again.
    pub(crate) fn restart(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.supervisor = supervise(&self.binaries, self.folder.path(), &self.options);
            // Processes of the killed server may still be there; then it ends at once.
            for _ in 0..100 {
                if self.is_ready() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {}", self.log());
            self.supervisor.kill().unwrap();
            self.supervisor.wait().unwrap();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A process that is stopped does not end.
        self.resume();
        drop(self.supervisor.stdin.take());
        drop(self.supervisor.wait());
    }
}

/// Makes a folder that belongs to the user of the server.
pub(crate) fn new_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    if let Some((user, group)) = unprivileged() {
        chown(folder.path(), Some(user), Some(group)).unwrap();
    }
    folder
}

/// Runs a program of PostgreSQL to its end.
fn run(binaries: &Path, program: &str, arguments: &[&str], data: &Path) {
    let mut command = Command::new(binaries.join(program));
    let output = as_unprivileged(&mut command).args(arguments).arg(data).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn as_unprivileged(command: &mut Command) -> &mut Command {
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}

/// Starts a server below a shell that waits for the end of its input, which comes with the end of the test program
/// too.
fn supervise(binaries: &Path, folder: &Path, options: &str) -> Child {
    let script = r#"
        trap '' INT
        "$1/postgres" -D "$2/data" -k "$2" -c fsync=off -c max_connections=60 $3 >"$2/log" 2>&1 </dev/null &
        server=$!
        cat >/dev/null
        kill -QUIT $server
        wait $server
        rm -rf "$2"
    "#;
    let mut command = Command::new("sh");
    as_unprivileged(&mut command)
        .args(["-c", script, "sh"])
        .arg(binaries)
        .arg(folder)
        .arg(options)
        .current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Connects to a database whose schema is made.
pub(crate) async fn connect(server: &Server) -> Result<Connection, PostgresError> {
    let mut connection = server.connect().await?;
    migrate(&mut connection).await?;
    Ok(connection)
}
