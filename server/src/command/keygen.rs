//! `claimgate keygen`: keys for test material.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use claimgate::sign::SigningKey;

use crate::command::output::{self, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate keygen --alg ES256 --kid test-1 \\\n    --out private.jwk --public jwks.json\n  \
    claimgate keygen --alg HS256")]
pub(crate) struct Arguments {
    /// The algorithm of the key: RS, PS, HS or ES with 256/384/512, or EdDSA
    #[arg(long)]
    alg: String,
    /// Size of an RSA modulus, in bits
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u16).range(2048..=8192))]
    bits: u16,
    /// The key identifier (`kid`)
    #[arg(long)]
    kid: Option<String>,
    /// Write the private JWK to this new file, readable by its owner alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a JWK set with the public key to this new file
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut key = SigningKey::generate(&self.alg, self.bits.into())?;
        if let Some(kid) = self.kid {
            key = key.with_kid(kid);
        }
        if let Some(file) = self.out.iter().chain(&self.public).find(|file| file.exists()) {
            let file = file.display();
            return Err(Failure::Usage(format!(
                "{file} exists, and keygen overwrites no file: name another"
            )));
        }
        if let Some(file) = &self.public {
            let set = serde_json::json!({"keys": [key.public_jwk()?]});
            create(file, &format!("{set:#}\n"), 0o644)?;
        }
        let private = zeroize::Zeroizing::new(format!("{:#}\n", key.private_jwk()));
        match &self.out {
            Some(file) => create(file, &private, 0o600),
            None => output::write(private.as_bytes()),
        }
    }
}

/// Writes a new file. Fails if the file exists: a key could be lost.
fn create(file: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::Usage(format!("cannot create {}: {error}", file.display())))
}
