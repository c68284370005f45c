//! Where strangers and genuine clients connect, from which address, and what they speak.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};

use crate::Failed;
use crate::client::whole;

/// Longest wait for a connection, a read or a write.
const WAIT: Duration = Duration::from_secs(10);

pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// The address that a client connects from. All but the first are of the network for measurements (RFC 2544):
/// no server exempts them from its limits as it may exempt loopback.
#[derive(Clone, Copy)]
pub enum Origin {
    Loopback,
    /// One of the attackers.
    Stranger(usize),
    /// A provider, or a proxy, that is not known to the server.
    Genuine,
}

impl Origin {
    fn ip(self) -> Result<IpAddr, Failed> {
        let ip = match self {
            Origin::Loopback => Ipv4Addr::LOCALHOST,
            Origin::Stranger(number) => Ipv4Addr::new(198, 18, 0, u8::try_from(number)?),
            Origin::Genuine => Ipv4Addr::new(198, 18, 1, 1),
        };
        Ok(ip.into())
    }
}

/// A listening address, and how to speak to it.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// Speaks plain HTTP/1.1, or TLS with the certificate in a file and this protocol.
    pub fn new(address: SocketAddr, certificate: Option<(&Path, &str)>) -> Result<Self, Failed> {
        let Some((file, protocol)) = certificate else { return Ok(Self { address, tls: None }) };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(Self { address, tls: Some(Arc::new(config)) })
    }

    pub fn connect(&self, from: Origin) -> Result<(Box<dyn Wire>, TcpStream), Failed> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let from = SocketAddr::new(from.ip()?, 0);
        socket.bind(&from.into()).map_err(|error| {
            format!("{error}: no address {}; start this program by benches/load/run", from.ip())
        })?;
        socket.connect_timeout(&self.address.into(), WAIT)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(WAIT))?;
        socket.set_write_timeout(Some(WAIT))?;
        let tcp = TcpStream::from(socket);
        let control = tcp.try_clone()?;
        let Some(config) = &self.tls else { return Ok((Box::new(tcp), control)) };
        let session =
            ClientConnection::new(Arc::clone(config), ServerName::IpAddress(self.address.ip().into()))?;
        Ok((Box::new(StreamOwned::new(session, tcp)), control))
    }

    /// Asks once on a connection of its own. Returns the status; 0 where there is no answer.
    pub fn ask(&self, from: Origin, request: &str) -> u16 {
        self.try_ask(from, request).unwrap_or(0)
    }

    fn try_ask(&self, from: Origin, request: &str) -> Result<u16, Failed> {
        let (mut wire, _) = self.connect(from)?;
        wire.write_all(request.as_bytes())?;
        wire.flush()?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 16 * 1024]);
        loop {
            match wire.read(&mut buffer)? {
                0 => return Err("closed".into()),
                count => answer.extend_from_slice(&buffer[..count]),
            }
            if let Some((status, _)) = whole(&answer) {
                return Ok(status);
            }
        }
    }
}
