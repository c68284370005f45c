//! `claimgate decode`.

use claimgate::claims::Claims;
use claimgate::jws::CompactJws;
use claimgate::limits::Limits;
use claimgate::{Error, base64url};
use serde_json::{Value, json};

use crate::command::input;
use crate::command::output::{self, Failure, Format};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate decode - < token.txt\n\n\
    The output proves nothing: anyone can write such a token. `claimgate verify` checks the signature.")]
pub(crate) struct Arguments {
    /// The token, or `-` for standard input
    #[arg(default_value = "-", value_name = "TOKEN|-")]
    token: String,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Arguments {
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
            eprintln!("UNVERIFIED: anyone can write such a token; `claimgate verify` checks the signature");
        }
        output::document(&shown, self.format)
    }
}
