//! A small service on axum with the endpoint of claimgate-tower, its logouts in SQLite: `examples/services`.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;

use crate::Failed;
use crate::cpu;
use crate::provider::{CLIENT, Provider, sid};

/// The path of its back-channel endpoint.
pub const PATH: &str = "/backchannel-logout";

pub struct Service {
    pub address: SocketAddr,
    process: Child,
    database: PathBuf,
}

impl Service {
    /// Starts it with an empty database, and waits for its address.
    pub fn start(binary: &Path, folder: &Path, provider: &Provider) -> Result<Self, Failed> {
        std::fs::create_dir_all(folder)?;
        let database = folder.join("logouts.db");
        let mut process = Command::new(binary)
            .args(["axum", &provider.issuer, CLIENT])
            .env("LOGOUTS", &database)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("log"))?)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let out = process.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().strip_prefix("http://").ok_or("no address")?.parse()?;
        Ok(Self { address, process, database })
    }

    /// Seconds of processor time that it has used.
    pub fn cpu(&self) -> f64 {
        cpu::seconds(self.process.id())
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// How many of the acknowledged logouts the database has.
    pub fn remembered(&self, acknowledged: &[usize]) -> Result<usize, Failed> {
        let database = Connection::open(&self.database)?;
        let mut statement = database.prepare("SELECT batch FROM logouts")?;
        let batches = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        let mut known = HashSet::new();
        for batch in batches {
            let logouts: Vec<serde_json::Value> = serde_json::from_str(&batch)?;
            known.extend(logouts.iter().filter_map(|logout| logout["sid"].as_str().map(str::to_owned)));
        }
        Ok(acknowledged.iter().filter(|index| known.contains(&sid(**index))).count())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}
