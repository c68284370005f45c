//! `claimgate sign`: tokens for test material.

use claimgate::json;
use claimgate::limits::Limits;
use claimgate::sign::SigningKey;
use serde_json::{Map, Value};

use crate::command::input;
use crate::command::output::{self, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate sign --key private.jwk \\\n    --claims '{\"sub\":\"ada\",\"exp\":2000000000}'\n  \
    claimgate sign --key private.pem --alg RS256 \\\n    --typ logout+jwt --claims claims.json")]
pub(crate) struct Arguments {
    /// A private JWK, or a PEM file
    #[arg(long, value_name = "FILE")]
    key: String,
    /// The claims: JSON, a file, or `-` for standard input
    #[arg(long, value_name = "JSON|FILE|-")]
    claims: String,
    /// The algorithm, if the key does not name one
    #[arg(long)]
    alg: Option<String>,
    /// The key identifier in the header (`kid`)
    #[arg(long)]
    kid: Option<String>,
    /// The type in the header (`typ`)
    #[arg(long, default_value = "JWT")]
    typ: String,
    /// More header members, as a JSON object
    #[arg(long, value_name = "JSON")]
    header: Option<String>,
}

impl Arguments {
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
        let token = key.sign(&header, Value::Object(claims).to_string().as_bytes())?;
        output::text(&format!("{token}\n"))
    }
}

fn object(name: &str, text: &[u8]) -> Result<Map<String, Value>, Failure> {
    json::parse_document(text, &Limits::DEFAULT)
        .map_err(|error| Failure::Usage(format!("{name}: the text {error}")))
}
