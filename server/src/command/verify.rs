//! `claimgate verify`: one token, or a file of tokens.

use std::time::Duration;

use claimgate::Verifier;
use claimgate::alg::Registry;
use claimgate::claims::{AnyKind, ClaimDemand, ClaimSpec, ClaimsError, Policy, TokenKind};
use claimgate::json;
use claimgate::jws::BuildError;
use claimgate::key::{KeyError, KeySet};
use claimgate::limits::Limits;
use claimgate::time::UnixTime;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::{input, jsonl};
use crate::command::output::{self, Failure, Format};
use crate::system;
use crate::web::token_log;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate verify --jwks keys.json --alg RS256 \\\n    --issuer https://idp.example.com --audience crm - < token.txt\n  \
    claimgate verify --secret-file client-secret --alg HS256 \\\n    --kind id_token --format json \"$TOKEN\"\n  \
    claimgate verify --jsonl tokens.jsonl > verdicts.jsonl\n\n\
    A line for --jsonl: {\"id\":1,\"token\":\"…\",\"jwks\":{…},\"algorithms\":[\"RS256\"],\"policy\":{\"issuer\":\"…\"}}\n\
    Exit codes: 0 valid (with --jsonl: every line was answered), 1 refused, 2 wrong usage or unreadable input.")]
pub(crate) struct Arguments {
    /// The token, or `-` for standard input; with --jsonl a file of lines
    #[arg(default_value = "-", value_name = "TOKEN|FILE|-")]
    subject: String,
    /// Verify JSON lines, each with its own token, keys and policy
    #[arg(long, conflicts_with_all = ["jwks", "key", "secret_file", "alg", "issuer", "audience", "any_audience", "trusted_audience", "authorized_party", "kind", "untyped_access_tokens", "leeway", "now", "nonce", "id_subject", "typ", "require", "claim", "max_token_age", "danger_allow_weak_keys", "format"])]
    jsonl: bool,
    /// JWK set file (RFC 7517)
    #[arg(long, value_name = "FILE", group = "keys")]
    jwks: Option<String>,
    /// PEM (SPKI, PKCS#1, X.509) or JWK file
    #[arg(long, value_name = "FILE", group = "keys")]
    key: Option<String>,
    /// File with the HMAC secret; one line end is not part of it
    #[arg(long, value_name = "FILE", group = "keys")]
    secret_file: Option<String>,
    /// An allowed algorithm; may be given several times
    #[arg(long, value_name = "ALG", value_delimiter = ',')]
    alg: Vec<String>,
    /// An accepted issuer (`iss`), compared exactly
    #[arg(long, value_name = "URL")]
    issuer: Vec<String>,
    /// An accepted audience (`aud`)
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// Accept a token of kind `jwt` for any audience, where --audience is not given
    #[arg(long, conflicts_with = "audience")]
    any_audience: bool,
    /// An audience that an ID or logout token may name beside an accepted one
    #[arg(long, value_name = "NAME")]
    trusted_audience: Vec<String>,
    /// A party that an ID token may name as `azp` beside the accepted audiences
    #[arg(long, value_name = "NAME")]
    authorized_party: Vec<String>,
    /// The kind of token that is accepted
    #[arg(long, value_parser = kind_parser(), default_value_t = TokenKind::Jwt)]
    kind: TokenKind,
    /// Accept access tokens whose `typ` is `JWT` or absent, with --kind access_token
    #[arg(long)]
    untyped_access_tokens: bool,
    /// Accepted clock difference, in seconds or as `5m`
    #[arg(long, value_name = "SECONDS", value_parser = claimgate_config::seconds, default_value_t = Policy::DEFAULT_LEEWAY.as_secs())]
    leeway: u64,
    /// Verify as of this time, in seconds since 1970
    #[arg(long, value_name = "UNIX", allow_negative_numbers = true)]
    now: Option<i64>,
    /// The required `nonce`
    #[arg(long)]
    nonce: Option<String>,
    /// The required subject (`sub`)
    #[arg(long = "subject", value_name = "SUB")]
    id_subject: Option<String>,
    /// The required `typ` of the header
    #[arg(long, value_name = "TYPE")]
    typ: Option<String>,
    /// Required claims [default: exp]
    #[arg(long, value_name = "CLAIM", value_delimiter = ',')]
    require: Vec<String>,
    /// A demand on the values of a claim, with the members of [[provider.claim]] in JSON, such as
    /// '{"path":"tid","one_of":["tenant-1"]}'; may be given several times
    #[arg(long, value_name = "JSON", value_parser = claim_demand)]
    claim: Vec<ClaimDemand>,
    /// Maximum time since `iat`, in seconds or as `12h`
    #[arg(long, value_name = "SECONDS", value_parser = claimgate_config::seconds)]
    max_token_age: Option<u64>,
    /// DANGER: accept keys weaker than RFC 7518 requires
    #[arg(long)]
    danger_allow_weak_keys: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[arg(long, hide = true, value_name = "SECONDS")]
    max_age: Option<String>,
    #[arg(long, hide = true)]
    allow_weak_keys: bool,
}

/// Reads `--kind`, with the kinds and their meanings in the help.
fn kind_parser() -> impl TypedValueParser<Value = TokenKind> {
    let values = TokenKind::ALL.iter().map(|kind| {
        PossibleValue::new(kind.name()).help(match kind {
            TokenKind::Jwt => "any JWT",
            TokenKind::IdToken => "OpenID Connect ID token",
            TokenKind::LogoutToken => "back-channel logout token",
            TokenKind::AccessToken => "RFC 9068 access token",
            TokenKind::SecurityEvent => "RFC 8417 security event token",
            _ => "",
        })
    });
    PossibleValuesParser::new(values).try_map(|name| name.parse::<TokenKind>())
}

impl Arguments {
    pub(crate) fn run(self, registry: &Registry) -> Result<(), Failure> {
        for (is_given, old, new) in [
            (self.max_age.is_some(), "--max-age", "--max-token-age"),
            (self.allow_weak_keys, "--allow-weak-keys", "--danger-allow-weak-keys"),
        ] {
            if is_given {
                return Err(Failure::Usage(format!("{old} is spelled {new}")));
            }
        }
        if self.jsonl {
            return jsonl::run(&self.subject, &jsonl::VerifyAnswerer::new(registry));
        }
        if self.untyped_access_tokens && self.kind != TokenKind::AccessToken {
            return Err(Failure::Usage("--untyped-access-tokens goes with --kind access_token".to_owned()));
        }
        if self.alg.is_empty() {
            return Err(Failure::Usage(
                "name the algorithms to allow with --alg, for example --alg RS256".to_owned(),
            ));
        }
        let verifier = Verifier::builder()
            .registry(registry.clone())
            .algorithms(self.alg.clone())
            // The verdict on a token has the reason why no key is usable.
            .any_keys(self.keys()?)
            .policy(self.policy())
            .build()
            .map_err(|error| Failure::Usage(remedy(&error)))?;
        // Most key sets hold keys of families that no allowed algorithm uses.
        let skipped = verifier.jws().key_report().skipped;
        for key in skipped.iter().filter(|key| key.reason != KeyError::WrongFamily) {
            eprintln!("note: not used: {key}");
        }
        let token = input::token(&self.subject)?;
        let given = token.clone();
        match verifier.verify(&token, self.now.map_or_else(system::now, UnixTime)) {
            Ok(token) => match self.format {
                Format::Text => output::document(token.claims().as_value(), Format::Text),
                Format::Json => output::document(
                    &json!({"valid": true, "header": token.header().as_object(), "claims": token.claims().as_value()}),
                    Format::Json,
                ),
            },
            Err(error) => {
                let found = token_log::found_in(&given, &error);
                let found = found.map(|found| format!("; found: {}", output::escaped(&found)));
                let message = self.refusal(&error) + &found.unwrap_or_default();
                if self.format == Format::Json {
                    let verdict = json!({"valid": false, "code": error.code(), "message": message});
                    output::document(&verdict, Format::Json)?;
                }
                Err(Failure::Refused { code: error.code(), message })
            }
        }
    }

    /// Returns the text for a refused token, with the option that would accept it where there is one.
    fn refusal(&self, error: &claimgate::Error) -> String {
        let remedy = match error {
            claimgate::Error::Claims(ClaimsError::Audience) if self.audience.is_empty() => {
                "; name an accepted one with --audience, or accept all with --any-audience"
            }
            claimgate::Error::Claims(ClaimsError::Audience) => "; name an accepted one with --audience",
            claimgate::Error::Claims(ClaimsError::Kind)
                if self.kind == TokenKind::AccessToken && !self.untyped_access_tokens =>
            {
                "; many providers leave the type `at+jwt` out: --untyped-access-tokens"
            }
            claimgate::Error::Claims(ClaimsError::Issuer) => "; name an accepted one with --issuer",
            claimgate::Error::Claims(ClaimsError::UntrustedAudience { .. }) => {
                "; name it with --trusted-audience if it may be there"
            }
            claimgate::Error::Jws(error) if error.code() == "algorithm.not_allowed" => {
                "; allow it with --alg if the issuer signs by it"
            }
            _ => "",
        };
        format!("{error}{remedy}")
    }

    fn keys(&self) -> Result<KeySet, Failure> {
        let (name, keys) = match (&self.jwks, &self.key, &self.secret_file) {
            (Some(file), None, None) => {
                let bytes = input::read(file)?;
                let keys = KeySet::from_jwks_with_secrets(&bytes, &Limits::DEFAULT);
                (file, keys.map_err(|error| (error, hint(&bytes, "--jwks"))))
            }
            (None, Some(file), None) => {
                let bytes = input::read(file)?;
                let keys = if json::without_byte_order_mark(&bytes).trim_ascii_start().starts_with(b"{") {
                    KeySet::from_jwk(&bytes, &Limits::DEFAULT)
                } else {
                    KeySet::from_pem(&String::from_utf8_lossy(&bytes))
                };
                (file, keys.map_err(|error| (error, hint(&bytes, "--key"))))
            }
            (None, None, Some(file)) => {
                let secret = zeroize::Zeroizing::new(input::read(file)?);
                let secret = secret.strip_suffix(b"\n").unwrap_or(&secret);
                (file, Ok(KeySet::from_secret(secret.strip_suffix(b"\r").unwrap_or(secret))))
            }
            _ => return Err(Failure::Usage("give one of --jwks, --key and --secret-file".to_owned())),
        };
        let keys = keys
            .map_err(|(error, hint)| Failure::Usage(format!("{name}: {error} [{}]{hint}", error.code())))?;
        Ok(if self.danger_allow_weak_keys { keys.danger_allow_weak_keys() } else { keys })
    }

    fn policy(&self) -> Policy<AnyKind> {
        let mut policy = Policy::of_kind(self.kind).leeway(Duration::from_secs(self.leeway));
        // All of them by the keys that were given.
        policy = self.issuer.iter().fold(policy, Policy::issuer_alias);
        policy = self.audience.iter().fold(policy, Policy::audience);
        policy = self.trusted_audience.iter().fold(policy, Policy::trusted_audience);
        policy = self.authorized_party.iter().fold(policy, Policy::trusted_party);
        if self.any_audience {
            policy = policy.any_audience();
        }
        if self.untyped_access_tokens {
            policy = policy.allow_untyped();
        }
        if let Some(nonce) = &self.nonce {
            policy = policy.nonce(nonce);
        }
        if let Some(subject) = &self.id_subject {
            policy = policy.subject(subject);
        }
        if let Some(typ) = &self.typ {
            policy = policy.typ(typ);
        }
        if let Some(seconds) = self.max_token_age {
            policy = policy.max_token_age(Duration::from_secs(seconds));
        }
        policy = self.claim.iter().fold(policy, ClaimDemand::apply);
        if !self.require.is_empty() {
            policy = policy.require_only(&self.require);
        }
        policy
    }
}

/// Reads `--claim`.
fn claim_demand(text: &str) -> Result<ClaimDemand, String> {
    let spec: ClaimSpec = serde_json::from_str(text).map_err(|error| error.to_string())?;
    spec.compile().map_err(|fault| fault.to_string())
}

/// Returns why the options are refused, and what to do.
fn remedy(error: &BuildError) -> String {
    match error {
        BuildError::NoIssuer => "tokens of this kind need --issuer".to_owned(),
        BuildError::NoAudience => "tokens of this kind need --audience".to_owned(),
        _ => format!("{error}; `claimgate algorithms` lists the registered ones"),
    }
}

/// Returns what a file is that was given to `option`, if it belongs to another one.
fn hint(file: &[u8], option: &str) -> &'static str {
    let members = json::parse_document(file, &Limits::DEFAULT).unwrap_or_default();
    match option {
        "--key" if members.contains_key("keys") => "; this is a JWK set: give it with --jwks",
        "--jwks" if members.contains_key("kty") => "; this is a single JWK: give it with --key",
        "--jwks" if KeySet::from_pem(&String::from_utf8_lossy(file)).is_ok() => {
            "; this is PEM: give it with --key"
        }
        _ => "",
    }
}
