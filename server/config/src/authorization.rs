//! The authorization request of a provider: `scopes`, `prompt`, `max_age`, `response_mode` and
//! `authorization_parameters`.

use std::time::Duration;

use claimgate::oidc::authorization::{AuthorizationOptions, ResponseMode};

use super::raw;
use super::section::{Faulty, Section};

/// The values of `prompt` (Core §3.1.2.1; Initiating User Registration 1.0).
const PROMPTS: [&str; 5] = ["none", "login", "consent", "select_account", "create"];

/// Parameters that are never taken from the file: those that make the request this client's and this sign-in's, or that
/// could replace others.
const OWN: [&str; 18] = [
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "redirect_uri",
    "response_type",
    "state",
    "nonce",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "claims",
    "request",
    "request_uri",
    "registration",
    "id_token_hint",
    "dpop_jkt",
];

/// Parameters that have settings of their own.
const SETTINGS: [(&str, &str); 4] =
    [("scope", "scopes"), ("prompt", "prompt"), ("max_age", "max_age"), ("response_mode", "response_mode")];

/// Most further parameters of an authorization request.
const MAX_PARAMETERS: usize = 16;

/// The longest name of a further parameter, in characters.
const MAX_NAME: usize = 64;

/// The longest value of a further parameter, in bytes.
const MAX_VALUE: usize = 512;

/// Resolves the options of the authorization request. The claims that are asked for come from the mapping.
pub(super) fn resolve(section: &Section<'_>, raw: &raw::Provider) -> Result<AuthorizationOptions, Faulty> {
    let prompt = match &raw.prompt {
        Some(prompt) if !prompt.split(' ').all(|value| PROMPTS.contains(&value)) => {
            Err(section.fault("prompt", format!("`{prompt}` is none of {}", PROMPTS.join(", "))))
        }
        prompt => Ok(prompt.clone()),
    };
    let response_mode = response_mode(section, raw.response_mode.as_deref());
    let additional = additional(section, raw);
    if let Some((index, scope)) = raw.scopes.iter().enumerate().find(|(_, scope)| !is_scope(scope)) {
        let reason = format!("`{scope}` is no scope; write each one by itself");
        return Err(section.fault_in("scopes", index, reason));
    }
    Ok(AuthorizationOptions {
        scopes: raw.scopes.iter().filter(|scope| *scope != "openid").cloned().collect(),
        prompt: prompt?,
        max_age: raw.max_age.map(|age| Duration::from_secs(age.0)),
        response_mode: response_mode?,
        additional: additional?,
        ..AuthorizationOptions::default()
    })
}

fn response_mode(section: &Section<'_>, written: Option<&str>) -> Result<ResponseMode, Faulty> {
    match written {
        None | Some("query") => Ok(ResponseMode::Query),
        Some("form_post") => Ok(ResponseMode::FormPost),
        Some(other) => {
            let message = format!("`{other}` is not supported");
            Err(section.fault("response_mode", (message, "write query or form_post")))
        }
    }
}

/// Resolves the further parameters; every fault in them is recorded.
fn additional(section: &Section<'_>, raw: &raw::Provider) -> Result<Vec<(String, String)>, Faulty> {
    let setting = "authorization_parameters";
    let mut result = Ok(());
    if raw.authorization_parameters.len() > MAX_PARAMETERS {
        result = Err(section.fault(setting, format!("must have at most {MAX_PARAMETERS} parameters")));
    }
    for (name, value) in &raw.authorization_parameters {
        if let Err(reason) = check_name(name).and_then(|()| check_value(value)) {
            result = Err(section.source.section(section.path.name(setting)).fault(name, reason));
        }
    }
    result.map(|()| raw.authorization_parameters.clone().into_iter().collect())
}

/// Checks the name of a further parameter. Providers that ignore upper and lower case exist.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
        return Err(format!(
            "is no name of a parameter: use letters, digits, and -._~: , at most {MAX_NAME}"
        ));
    }
    if let Some((_, setting)) = SETTINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return Err(format!("has a setting of its own: write `{setting}` in [[provider]]"));
    }
    match OWN.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        true => {
            Err("belongs to the protocol: Claimgate sets it, or leaves it out, in every request".to_owned())
        }
        false => Ok(()),
    }
}

fn check_value(value: &str) -> Result<(), String> {
    match value.len() {
        0 => Err("must not be empty".to_owned()),
        length if length > MAX_VALUE => Err(format!("must have at most {MAX_VALUE} bytes")),
        _ if value.chars().any(char::is_control) => Err("holds a control character".to_owned()),
        _ => Ok(()),
    }
}

/// Reports whether a text is one scope (RFC 6749 §3.3).
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}
