//! `claimgate keygen` and `claimgate sign`: test material.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use claimgate::json;
use claimgate::limits::Limits;
use claimgate::sign::{SignError, SigningKey};
use serde_json::{Map, Value};

use crate::command::input;
use crate::command::output::{self, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate keygen --alg ES256 --kid test-1 --out private.jwk --public jwks.json\n  \
    claimgate keygen --alg HS256")]
pub(crate) struct KeygenArguments {
    /// The algorithm the key is for: RS, PS, HS or ES with 256/384/512, or EdDSA
    #[arg(long)]
    alg: String,
    /// The size of an RSA modulus, in bits
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u16).range(2048..=8192))]
    bits: u16,
    /// The key's identifier
    #[arg(long)]
    kid: Option<String>,
    /// Write the private JWK here, readable by its owner alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a JWK set with the public key here
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
}

impl KeygenArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut key = SigningKey::generate(&self.alg, self.bits.into()).map_err(usage)?;
        if let Some(kid) = self.kid {
            key = key.with_kid(kid);
        }
        if let Some(file) = &self.public {
            let set = serde_json::json!({"keys": [key.public_jwk().map_err(usage)?]});
            create(file, &format!("{set:#}\n"), 0o644)?;
        }
        let private = zeroize::Zeroizing::new(format!("{:#}\n", key.private_jwk()));
        match &self.out {
            Some(file) => create(file, &private, 0o600),
            None => output::write(private.as_bytes()),
        }
    }
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate sign --key private.jwk --claims '{\"sub\":\"ada\",\"exp\":2000000000}'\n  \
    claimgate sign --key private.pem --alg RS256 --typ logout+jwt --claims claims.json")]
pub(crate) struct SignArguments {
    /// A private JWK, or a PKCS#8 PEM file
    #[arg(long, value_name = "FILE")]
    key: String,
    /// The claims: JSON, a file, or `-` for standard input
    #[arg(long, value_name = "JSON|FILE|-")]
    claims: String,
    /// The algorithm, where the key does not say
    #[arg(long)]
    alg: Option<String>,
    /// The header's key identifier
    #[arg(long)]
    kid: Option<String>,
    /// The header's type
    #[arg(long, default_value = "JWT")]
    typ: String,
    /// More header members
    #[arg(long, value_name = "JSON")]
    header: Option<String>,
}

impl SignArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let text = zeroize::Zeroizing::new(input::read(&self.key)?);
        let key = if text.trim_ascii_start().starts_with(b"{") {
            SigningKey::from_jwk(&text, self.alg.as_deref())
        } else {
            SigningKey::from_pem(std::str::from_utf8(&text).unwrap_or_default(), self.alg.as_deref())
        };
        let mut key =
            key.map_err(|error| Failure::Usage(format!("{}: {error} [{}]", self.key, error.code())))?;
        if let Some(kid) = self.kid {
            key = key.with_kid(kid);
        }
        let claims = if self.claims.trim_start().starts_with('{') {
            self.claims.into_bytes()
        } else {
            input::read(&self.claims)?
        };
        let claims = object("--claims", &claims)?;
        let mut header = match &self.header {
            Some(text) => object("--header", text.as_bytes())?,
            None => Map::new(),
        };
        header.entry("typ").or_insert_with(|| self.typ.into());
        let token = key.sign(&header, Value::Object(claims).to_string().as_bytes()).map_err(usage)?;
        output::write(format!("{token}\n").as_bytes())
    }
}

fn object(name: &str, text: &[u8]) -> Result<Map<String, Value>, Failure> {
    json::parse_object(text, &Limits::DEFAULT).map_err(|error| Failure::Usage(format!("{name}: {error}")))
}

fn usage(error: SignError) -> Failure {
    Failure::Usage(format!("{error} [{}]", error.code()))
}

/// Writes a new file; an existing one is left alone, so that no key is lost.
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
