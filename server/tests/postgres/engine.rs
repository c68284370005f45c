//! PostgreSQL for the tests: Debian's or another installation's binaries, with a data folder of their own.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use claimgate_server::store::postgres::{Connection, PostgresError, Server, migrate};
use tempfile::TempDir;

/// Longest wait for a server to start or to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running PostgreSQL. It stops, and its folder is removed, when this value is dropped or the test program ends.
pub(crate) struct Engine {
    folder: TempDir,
    binaries: PathBuf,
    /// A shell that stops the server when its standard input closes.
    supervisor: Child,
}

/// Runs a test with a database of its own, or says that it is skipped where no PostgreSQL is installed.
pub(crate) fn with_database<T>(test: impl AsyncFnOnce(Server) -> T) -> Option<T> {
    static SHARED: OnceLock<Option<Engine>> = OnceLock::new();
    let engine = SHARED.get_or_init(Engine::start).as_ref()?;
    Some(runtime().block_on(async { test(engine.new_database().await).await }))
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

/// Returns the numbers of a user to run PostgreSQL as: it refuses to run as root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let numbers = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    Some(numbers("postgres").or_else(|| numbers("nobody")).expect("a user to run PostgreSQL as"))
}

impl Engine {
    /// Starts a server; `None`, with a line that says so, if none is installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(
                std::env::var_os("CLAIMGATE_REQUIRE_POSTGRES").is_none(),
                "CLAIMGATE_REQUIRE_POSTGRES is set, and no PostgreSQL 15 or later is installed"
            );
            eprintln!("SKIPPED: no PostgreSQL 15 or later is installed (Debian: postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if let Some((user, group)) = unprivileged() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        run(
            &binaries,
            "initdb",
            &["--no-sync", "--auth=trust", "--username=super", "--encoding=UTF8", "--pgdata"],
            &data,
        );
        let supervisor = supervise(&binaries, folder.path());
        let engine = Self { folder, binaries, supervisor };
        engine.wait_until_ready();
        Some(engine)
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        let is_ready = || {
            let mut command = Command::new(self.binaries.join("pg_isready"));
            command.arg("-q").arg("-h").arg(self.folder.path()).status().unwrap().success()
        };
        while !is_ready() {
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Describes the connection of a user to a database.
    pub(crate) fn config(&self, user: &str, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).user(user).dbname(database);
        config
    }

    /// Makes an empty database that belongs to an ordinary user.
    pub(crate) async fn new_database(&self) -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let (client, driver) = self.config("super", "postgres").connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(driver);
        client.batch_execute(&format!("CREATE USER {name}")).await.unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name} OWNER {name}")).await.unwrap();
        Server::new(self.config(&name, &name), None)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        drop(self.supervisor.wait());
    }
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

/// Starts a server below a shell that waits for the end of its input, which comes with the end of the test program too.
fn supervise(binaries: &Path, folder: &Path) -> Child {
    let script = r#"
        trap '' INT
        "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=60 >"$2/log" 2>&1 </dev/null &
        server=$!
        cat >/dev/null
        kill -QUIT $server
        wait $server
        rm -rf "$2/data"
    "#;
    let mut command = Command::new("sh");
    as_unprivileged(&mut command).args(["-c", script, "sh"]).arg(binaries).arg(folder).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Connects to a database whose schema is made.
pub(crate) async fn connect(server: &Server) -> Result<Connection, PostgresError> {
    let mut connection = server.connect().await?;
    migrate(&mut connection).await?;
    Ok(connection)
}
