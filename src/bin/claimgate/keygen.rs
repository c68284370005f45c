//! `claimgate keygen`: a new key to sign test tokens with.

use std::io::Write;
use std::path::{Path, PathBuf};

use claimgate::sign::SigningKey;
use zeroize::Zeroizing;

use crate::output::{self, Failure};

/// Arguments of `keygen`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate keygen --alg ES256 --kid 2026-11 --out key.json --public jwks.json\n  \
    claimgate keygen --alg RS256 --bits 3072 > key.json\n\n\
    The private key is a JWK. With --out its file can be read by its owner alone (mode 0600).\n\
    --public writes a JWK set that `claimgate verify --jwks` reads.")]
pub(crate) struct Arguments {
    /// The algorithm the key is for; `claimgate algorithms` lists them
    #[arg(long)]
    alg: String,
    /// The size of an RSA key, in bits
    #[arg(long, default_value_t = SigningKey::DEFAULT_RSA_BITS as u64, value_parser = clap::value_parser!(u64).range(2048..=8192))]
    bits: u64,
    /// The key's name (`kid`)
    #[arg(long)]
    kid: Option<String>,
    /// Where to write the private key; standard output otherwise. An existing file is not replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to write the public key, as a JWK set. An existing file is not replaced
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
}

impl Arguments {
    /// Makes the key and writes it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let bits = usize::try_from(self.bits).unwrap_or(SigningKey::DEFAULT_RSA_BITS);
        let mut key = SigningKey::generate(&self.alg, bits)
            .map_err(|error| Failure::Usage(format!("--alg {}: {error}", self.alg)))?;
        if let Some(kid) = self.kid {
            key = key.with_kid(kid);
        }
        if let Some(file) = &self.public {
            let jwk = key.public_jwk().map_err(|error| {
                Failure::Usage(format!("--public: {error}; leave it out for {}", key.algorithm()))
            })?;
            create(file, format!("{:#}\n", serde_json::json!({ "keys": [jwk] })).as_bytes(), 0o644)?;
        }
        let private = Zeroizing::new(format!("{:#}\n", key.private_jwk()));
        match &self.out {
            Some(file) => create(file, private.as_bytes(), 0o600),
            None => output::write(private.as_bytes()),
        }
    }
}

/// Writes a file that must not exist yet, with the given mode from its first byte.
fn create(file: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(file).and_then(|mut open| open.write_all(bytes));
    written.map_err(|error| Failure::Usage(format!("cannot write {}: {error}", file.display())))
}
