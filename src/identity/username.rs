//! The username: its claim, its normalisation and the refusals.

use serde_json::Value;

use super::explain::{Observer, Seen};
use super::spec::{MappingSpec, Normalisation, OneOrMany};
use super::{IdentityError, MappingError, MappingProblem, SettingPath, is_safe_name};
use crate::limits::Limits;
use crate::path::ClaimPath;

/// The upper limit of `username_max`, in characters.
pub(super) const MAX_CHARACTERS: usize = 255;

#[derive(Clone, Debug)]
pub(super) struct UsernameRules {
    candidates: Vec<ClaimPath>,
    prefix: String,
    normalisation: Normalisation,
    max: usize,
    require_verified_email: bool,
}

impl UsernameRules {
    pub(super) fn compile(spec: &MappingSpec, limits: &Limits) -> Result<Self, MappingError> {
        let setting = |reason: &str, name: &str| MappingError::setting(SettingPath::of(name), reason);
        let candidates = candidates(&spec.username, limits)?;
        if candidates.is_empty() {
            return Err(setting("name at least one claim, such as \"sub\"", "username"));
        }
        if !(1..=MAX_CHARACTERS).contains(&spec.username_max) {
            return Err(setting("must be from 1 to 255 characters", "username_max"));
        }
        if !is_safe_name(&spec.username_prefix) {
            return Err(setting("holds characters that no username may have", "username_prefix"));
        }
        Ok(Self {
            candidates,
            prefix: spec.username_prefix.clone(),
            normalisation: spec.normalise,
            max: spec.username_max,
            require_verified_email: spec.require_verified_email,
        })
    }

    pub(super) fn choose(
        &self,
        claims: &Value,
        limits: &Limits,
        observer: &mut dyn Observer,
    ) -> Result<String, IdentityError> {
        if self.require_verified_email && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(IdentityError::EmailNotVerified);
        }
        for path in &self.candidates {
            let raw = match path.select(claims, limits)?.as_slice() {
                [] | [Value::Null] => {
                    observer.username(path.as_str(), &|| Seen::Absent);
                    continue;
                }
                [Value::String(text)] if text.trim().is_empty() => {
                    observer.username(path.as_str(), &|| Seen::Empty);
                    continue;
                }
                [Value::String(text)] => text,
                // Not treated as absent: the next claim may be another person's.
                other => {
                    observer.username(path.as_str(), &|| Seen::values(other));
                    return Err(IdentityError::UsernameType { path: path.to_string() });
                }
            };
            observer.username(path.as_str(), &|| Seen::Value(raw.clone()));
            return self.normalise(raw);
        }
        Err(IdentityError::NoUsername)
    }

    fn normalise(&self, raw: &str) -> Result<String, IdentityError> {
        if !is_safe_name(raw) || raw.chars().any(is_invisible) {
            return Err(IdentityError::UsernameCharacters);
        }
        let name: String = match self.normalisation {
            Normalisation::None => raw.to_owned(),
            Normalisation::Default => {
                raw.trim().to_lowercase().chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect()
            }
            Normalisation::LossyAscii => {
                let keeps = |c: &char| c.is_ascii_alphanumeric() || "-@_.".contains(*c);
                raw.to_lowercase().chars().map(|c| if keeps(&c) { c } else { '_' }).collect()
            }
        };
        let name = format!("{}{name}", self.prefix);
        if name.chars().count() > self.max {
            return Err(IdentityError::UsernameTooLong { limit: self.max });
        }
        Ok(name)
    }
}

/// Reports whether a character is one of Unicode's default-ignorable ones that groups and profiles may have
/// (variation selectors, fillers), but usernames may not: with one, two usernames would look equal.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn candidates(written: &OneOrMany, limits: &Limits) -> Result<Vec<ClaimPath>, MappingError> {
    let setting = SettingPath::of("username");
    match written {
        OneOrMany::One(text) => Ok(vec![compile_path(&setting, text, limits)?]),
        OneOrMany::Many(texts) => {
            let path = |(index, text): (usize, &String)| compile_path(&setting.index(index), text, limits);
            texts.iter().enumerate().map(path).collect()
        }
    }
}

/// Compiles the path that a setting holds.
pub(super) fn compile_path(
    setting: &SettingPath,
    text: &str,
    limits: &Limits,
) -> Result<ClaimPath, MappingError> {
    ClaimPath::parse_with(text, limits).map_err(|reason| MappingError {
        setting: setting.clone(),
        problem: MappingProblem::Path { path: text.to_owned(), reason },
    })
}
