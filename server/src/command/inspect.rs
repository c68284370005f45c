//! `claimgate decode` and `claimgate algorithms`.

use claimgate::alg::Registry;
use claimgate::claims::Claims;
use claimgate::jws::CompactJws;
use claimgate::limits::Limits;
use claimgate::{Error, base64url};
use serde_json::{Value, json};

use crate::command::input;
use crate::command::output::{self, Failure, Format};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate decode - < token.txt\n\n\
    Nothing is proved by what this shows: anybody can write such a token.")]
pub(crate) struct DecodeArguments {
    /// The token, or `-` for standard input
    #[arg(default_value = "-", value_name = "TOKEN|-")]
    token: String,
    /// How to print the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl DecodeArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let limits = Limits::DEFAULT;
        let refused = |error: Error| Failure::Refused { code: error.code(), message: error.to_string() };
        let token = input::token(&self.token)?;
        let jws = CompactJws::parse(&token, &limits).map_err(|error| refused(error.into()))?;
        let header = jws.header(&limits).map_err(|error| refused(error.into()))?;
        let payload = jws.unverified_payload();
        let mut shown = json!({"verified": false, "header": header.as_object()});
        match Claims::parse(&payload, &limits) {
            Ok(claims) => shown["claims"] = claims.as_value().clone(),
            Err(error) => {
                shown["claims"] = Value::Null;
                shown["payload_b64u"] = base64url::encode(&payload).into();
                shown["claims_error"] = error.code().into();
            }
        }
        if self.format == Format::Text {
            eprintln!("UNVERIFIED: anybody can write such a token; `claimgate verify` proves one");
        }
        output::document(&shown, self.format)
    }
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate algorithms --format json")]
pub(crate) struct AlgorithmsArguments {
    /// How to print the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl AlgorithmsArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let registry = Registry::builtin();
        let names: Vec<&str> = registry.names().collect();
        match self.format {
            Format::Text => output::write(format!("{}\n", names.join("\n")).as_bytes()),
            Format::Json => output::document(&json!(names), Format::Json),
        }
    }
}
