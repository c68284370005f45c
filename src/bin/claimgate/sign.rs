//! `claimgate sign`: a token of one's own, for tests.

use claimgate::json;
use claimgate::limits::Limits;
use claimgate::sign::SigningKey;
use serde_json::Map;
use zeroize::Zeroizing;

use crate::input;
use crate::output::{self, Failure};

/// Arguments of `sign`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate sign --key key.json --claims claims.json\n  \
    claimgate sign --key key.json --claims '{\"sub\":\"alice\",\"exp\":1900000000}' --typ at+jwt\n  \
    claimgate sign --key key.pem --alg PS256 --kid 2026-11 --claims - < claims.json\n\n\
    The claims are signed as they stand: nothing is added, so that bad tokens can be made too.")]
pub(crate) struct Arguments {
    /// The private key: a JWK, or a PKCS#8 PEM
    #[arg(long, value_name = "FILE")]
    key: String,
    /// The claims: a file, `-` for standard input, or the JSON object itself
    #[arg(long, value_name = "FILE|-|JSON")]
    claims: String,
    /// The algorithm; the key's own otherwise
    #[arg(long)]
    alg: Option<String>,
    /// The header's `kid`; the key's own otherwise
    #[arg(long)]
    kid: Option<String>,
    /// The header's `typ`
    #[arg(long)]
    typ: Option<String>,
    /// More header members, as a JSON object
    #[arg(long, value_name = "JSON")]
    header: Option<String>,
}

impl Arguments {
    /// Signs and prints the token.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let key = self.key()?;
        let mut header = match &self.header {
            None => Map::new(),
            Some(text) => json::parse_object(text.as_bytes(), &Limits::DEFAULT)
                .map_err(|error| Failure::Usage(format!("--header: {error}")))?,
        };
        if let Some(typ) = self.typ {
            header.insert("typ".to_owned(), typ.into());
        }
        if let Some(kid) = self.kid {
            header.insert("kid".to_owned(), kid.into());
        }
        let (name, claims) = if self.claims.trim_start().starts_with('{') {
            ("--claims", self.claims.into_bytes())
        } else {
            (self.claims.as_str(), input::read(&self.claims)?)
        };
        let limits = Limits { json_items: 1_000_000, ..Limits::DEFAULT };
        json::parse_object(&claims, &limits)
            .map_err(|error| Failure::Usage(format!("{name}: the claims are {error}")))?;
        let token = key
            .sign(&header, claims.trim_ascii())
            .map_err(|error| Failure::Usage(format!("{}: {error} [{}]", self.key, error.code())))?;
        output::write(format!("{token}\n").as_bytes())
    }

    fn key(&self) -> Result<SigningKey, Failure> {
        let bytes = Zeroizing::new(input::read(&self.key)?);
        let algorithm = self.alg.as_deref();
        let key = if bytes.trim_ascii_start().starts_with(b"{") {
            SigningKey::from_jwk(&bytes, algorithm)
        } else {
            match std::str::from_utf8(&bytes) {
                Ok(text) => SigningKey::from_pem(text, algorithm),
                Err(_) => Err(claimgate::sign::SignError::Pem),
            }
        };
        key.map_err(|error| Failure::Usage(format!("{}: {error} [{}]", self.key, error.code())))
    }
}
