//! nginx as a process of its own, in front of a server, as `docs/guide/forward-auth.md` configures it and the
//! firewall before it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failed;

/// The table of the firewall's rule, in the network that the measurement has of its own.
const TABLE: &str = "inet claimgate_load";

/// The path of an application behind forward-auth.
pub const APPLICATION: &str = "/application/";

pub struct Nginx {
    pub address: SocketAddr,
    process: Child,
}

impl Nginx {
    /// Starts nginx with its files in a folder, in front of a server without TLS.
    pub fn start(folder: &Path, server: SocketAddr) -> Result<Self, Failed> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        std::fs::create_dir_all(folder)?;
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration(folder, address, server))?;
        close_beyond(256, address.port())?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&file).stderr(log).stdout(Stdio::null());
        let process = command.spawn().map_err(|error| format!("nginx: {error}"))?;
        let mut nginx = Self { address, process };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) && nginx.process.try_wait()?.is_none() {
            if TcpStream::connect(address).is_ok() {
                return Ok(nginx);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("nginx does not answer: {}", std::fs::read_to_string(folder.join("log"))?).into())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // On SIGTERM the workers end too; SIGKILL would leave them.
        let id = self.process.id().to_string();
        drop(Command::new("kill").arg(id).status());
        drop(self.process.wait());
        drop(Command::new("nft").args(["delete", "table"]).args(TABLE.split(' ')).status());
    }
}

/// Lets the firewall refuse further connections of an address that has so many to a port.
fn close_beyond(connections: usize, port: u16) -> Result<(), Failed> {
    let rules = format!(
        "table {TABLE} {{
  set clients {{ type ipv4_addr; flags dynamic; }}
  chain input {{
    type filter hook input priority filter;
    tcp dport {port} ct state new add @clients {{ ip saddr ct count over {connections} }} reject with tcp reset
  }}
}}
"
    );
    let mut command = Command::new("nft");
    let mut nft =
        command.args(["-f", "-"]).stdin(Stdio::piped()).spawn().map_err(|error| format!("nft: {error}"))?;
    nft.stdin.take().ok_or("nft has no input")?.write_all(rules.as_bytes())?;
    if nft.wait()?.success() { Ok(()) } else { Err("nft refuses the rule".into()) }
}

/// As many connections as the server has, so that nginx is not what gives way first.
fn configuration(folder: &Path, address: SocketAddr, server: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off; pid {folder}/pid; error_log stderr crit; user root; worker_processes auto; worker_rlimit_nofile 40000;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  limit_conn_zone $binary_remote_addr zone=clients:10m;
  limit_conn_status 429;
  limit_req_zone $binary_remote_addr zone=rate:10m rate=1000r/s;
  limit_req_status 429;
  server {{
    listen {address} backlog=4096;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    location / {{ limit_conn clients 100; limit_req zone=rate burst=1000; proxy_pass http://{server}; }}
    location = /auth {{
      internal;
      proxy_pass http://{server}/auth;
      proxy_pass_request_body off;
      proxy_set_header Content-Length \"\";
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
    location {APPLICATION} {{ auth_request /auth; try_files $uri @application; }}
    location @application {{ return 200 \"an application\"; }}
  }}
}}
"
    )
}
