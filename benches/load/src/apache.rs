//! Apache with mod_auth_openidc, as Debian packages it, with logouts in shared memory.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failed;
use crate::cpu;
use crate::provider::{CLIENT, Provider};

const MODULES: &str = "/usr/lib/apache2/modules";

/// The path of its back-channel endpoint.
pub const PATH: &str = "/oidc/callback?logout=backchannel";

/// Whether it is installed.
pub fn installed() -> bool {
    Path::new("/usr/sbin/apache2").exists() && Path::new(MODULES).join("mod_auth_openidc.so").exists()
}

/// The version, as the package manager tells it.
pub fn version() -> String {
    let asked =
        Command::new("dpkg-query").args(["-W", "-f", "${Version}", "libapache2-mod-auth-openidc"]).output();
    asked.map_or_else(|_| "unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).into_owned())
}

pub struct Apache {
    pub address: SocketAddr,
    process: Child,
    log: PathBuf,
}

impl Apache {
    /// Starts it in an empty folder. No access log, errors alone: at its best.
    pub fn start(folder: &Path, provider: &Provider, connections: usize) -> Result<Self, Failed> {
        std::fs::create_dir_all(folder.join("root"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc"]
            .map(|module| format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n"))
            .concat();
        // One thread per connection and to spare, all there from the beginning.
        let threads = (connections + 32).div_ceil(64) * 64;
        let config = format!(
            "{modules}\
             ServerName 127.0.0.1\nListen {address}\nServerRoot {folder}\nPidFile {folder}/pid\n\
             ErrorLog {folder}/error\nLogLevel error\nDocumentRoot {folder}/root\n\
             User www-data\nGroup www-data\n\
             KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\n\
             ServerLimit {servers}\nStartServers {servers}\nThreadLimit 64\nThreadsPerChild 64\n\
             MaxRequestWorkers {threads}\nMinSpareThreads {threads}\nMaxSpareThreads {threads}\n\
             OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration\n\
             OIDCProviderBackChannelLogoutSupported On\n\
             OIDCClientID {CLIENT}\nOIDCClientSecret not-used-by-anybody\n\
             OIDCRedirectURI http://{address}/oidc/callback\nOIDCCryptoPassphrase for-a-measurement\n\
             OIDCCacheType shm\nOIDCCacheShmMax 10000\nOIDCIDTokenIatSlack 3600\n\
             <Location />\nAuthType openid-connect\nRequire valid-user\n</Location>\n",
            folder = folder.display(),
            servers = threads / 64,
            issuer = provider.issuer,
        );
        let file = folder.join("apache.conf");
        std::fs::write(&file, config)?;
        let process = Command::new("/usr/sbin/apache2")
            .arg("-f")
            .arg(&file)
            .arg("-DFOREGROUND")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut server = Self { address, process, log: folder.join("error") };
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if begun.elapsed() > Duration::from_secs(20) || server.process.try_wait()?.is_some() {
                return Err(format!("apache does not listen; see {}", server.log.display()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Its children are all there a moment later.
        std::thread::sleep(Duration::from_millis(500));
        Ok(server)
    }

    /// Seconds of processor time that it and its children have used.
    pub fn cpu(&self) -> f64 {
        cpu::seconds(self.process.id())
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its children and its shared memory.
        drop(Command::new("kill").arg(self.process.id().to_string()).status());
        drop(self.process.wait());
    }
}
