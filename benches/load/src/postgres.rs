//! PostgreSQL as a process of its own, as it is after installation: every commit is on the disk.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failed;
use crate::cpu;

/// The user of the database, and its name.
const NAME: &str = "claimgate";

pub struct Postgres {
    /// `[store] url`.
    pub url: String,
    binaries: PathBuf,
    folder: PathBuf,
    user: Option<(u32, u32)>,
}

impl Postgres {
    /// Makes a database in an empty folder, and starts.
    pub fn start(folder: &Path) -> Result<Self, Failed> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("postgres://{NAME}@127.0.0.1:{port}/{NAME}");
        std::fs::create_dir_all(folder)?;
        let server = Self { url, binaries: binaries()?, folder: folder.to_owned(), user: unprivileged()? };
        if let Some((user, group)) = server.user {
            chown(folder, Some(user), Some(group))?;
        }
        let data = folder.join("data");
        server.run("initdb", |command| {
            command.args(["--auth=trust", "--encoding=UTF8", "--username", NAME, "--pgdata"]).arg(&data)
        })?;
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=1GB"
        );
        server.run("pg_ctl", |command| {
            command
                .args(["start", "-w", "-s", "-l"])
                .arg(folder.join("log"))
                .args(["-o", &settings, "-D"])
                .arg(&data)
        })?;
        server.run("createdb", |command| {
            command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", NAME, NAME])
        })?;
        Ok(server)
    }

    /// Seconds of processor time that it and its connections have used.
    pub fn cpu(&self) -> f64 {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        file.lines().next().and_then(|id| id.parse().ok()).map_or(0.0, cpu::seconds)
    }

    /// The version, such as 15.18.
    pub fn version(&self) -> String {
        let asked = Command::new(self.binaries.join("postgres")).arg("--version").output();
        let text =
            asked.map_or_else(|_| String::new(), |out| String::from_utf8_lossy(&out.stdout).into_owned());
        text.split(' ').nth(2).unwrap_or("unknown").trim().to_owned()
    }

    fn run(&self, program: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Result<(), Failed> {
        let program = self.binaries.join(program);
        let mut command = match self.user {
            // PostgreSQL refuses to run as root.
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={user}"))
                    .arg(format!("--regid={group}"))
                    .arg("--clear-groups")
                    .arg(&program);
                command
            }
            None => Command::new(&program),
        };
        let command = arguments(&mut command).current_dir(&self.folder).stdout(Stdio::null());
        if command.status()?.success() { Ok(()) } else { Err(format!("{} failed", program.display()).into()) }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.folder.join("data");
        drop(self.run("pg_ctl", |command| command.args(["stop", "-s", "-m", "immediate", "-D"]).arg(&data)));
    }
}

/// The folder of the binaries of the newest PostgreSQL.
fn binaries() -> Result<PathBuf, Failed> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").map_err(|_| "no PostgreSQL (Debian: postgresql)")?;
    let newest = versions.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    Ok(Path::new("/usr/lib/postgresql").join(newest.ok_or("no PostgreSQL")?.to_string()).join("bin"))
}

/// The user to run PostgreSQL as, where this process is root's.
fn unprivileged() -> Result<Option<(u32, u32)>, Failed> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:")).ok_or("no user postgres")?;
    let mut numbers = line.split(':').skip(2);
    let mut number = || -> Result<u32, Failed> { Ok(numbers.next().ok_or("no number")?.parse()?) };
    Ok(Some((number()?, number()?)))
}
