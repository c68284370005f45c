//! The username: its claim, its normalisation and the refusals.

#[cfg(feature = "oidc")]
use std::borrow::Cow;

use serde_json::Value;

use super::email::{EMAIL, EmailRules, Verified};
use super::error::type_of;
use super::explain::{Observer, Seen};
use super::known::Known;
use super::normal_form::{MAX_CHARACTERS, composed, fold, within};
use super::rewriting::Rewriting;
use super::spec::{MappingSpec, Normalisation, OneOrMany};
use super::{IdentityError, MappingError, MappingProblem, NameSource, SettingPath};
use crate::limits::Limits;
use crate::path::ClaimPath;

#[derive(Clone, Debug)]
pub(super) struct UsernameRules {
    candidates: Vec<ClaimPath>,
    prefix: String,
    normalisation: Normalisation,
    max: usize,
    email: EmailRules,
    rewriting: Option<Rewriting>,
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
        check_prefix(spec)?;
        Ok(Self {
            candidates,
            prefix: spec.username_prefix.clone(),
            normalisation: spec.normalise,
            max: spec.username_max,
            email: EmailRules::compile(spec)?,
            rewriting: Rewriting::compile(spec)?,
        })
    }

    /// Returns the username with its source; `None` if it is not known, because a claim that comes first is absent from claims
    /// that may not be all.
    pub(super) fn choose(
        &self,
        known: Known<'_>,
        limits: &Limits,
        observer: &mut dyn Observer,
    ) -> Result<Option<(String, NameSource)>, IdentityError> {
        let claims = known.claims;
        let by_email = self.candidates.iter().any(|path| path.member() == Some(EMAIL));
        let verified = self.email.check(known, by_email, observer)?;
        for path in &self.candidates {
            let raw = match path.select(claims, limits)?.as_slice() {
                [] | [Value::Null] => {
                    observer.username(path.as_str(), &|| Seen::Absent);
                    if known.lacks(path, limits) {
                        return Ok(None);
                    }
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
                    let found = if let [one] = other { type_of(one) } else { "several values" };
                    return Err(IdentityError::UsernameType { path: path.to_string(), found });
                }
            };
            observer.username(path.as_str(), &|| Seen::Value(raw.clone()));
            let source = self.source(path, verified)?;
            let name = self.normalise(raw, observer)?;
            // Another person's value may become the same name: `sub` is case-sensitive (Core §5.1), and in an address
            // characters beyond ASCII become others (U+212A KELVIN SIGN becomes `k`).
            let own = name.strip_prefix(&self.prefix).unwrap_or_default();
            let is_exact = match source {
                NameSource::Subject => own == raw,
                NameSource::VerifiedEmail | NameSource::UnverifiedEmail => {
                    own.eq_ignore_ascii_case(raw.trim())
                }
                NameSource::Claim => true,
            };
            return Ok(Some((name, if is_exact { source } else { NameSource::Claim })));
        }
        Err(IdentityError::NoUsername)
    }

    /// Returns the claims without an address that does not count; see [`EmailRules::lacks_verification`].
    #[cfg(feature = "oidc")]
    pub(super) fn believed<'c>(&self, claims: &'c Value) -> Cow<'c, Value> {
        let mut believed = Cow::Borrowed(claims);
        if self.email.lacks_verification(claims)
            && let Value::Object(members) = believed.to_mut()
        {
            members.remove(EMAIL);
        }
        believed
    }

    /// Returns the source of a username that a path selected.
    fn source(&self, path: &ClaimPath, verified: Verified) -> Result<NameSource, IdentityError> {
        let member = path.member();
        if member == Some(EMAIL) {
            self.email.as_username(verified)?;
        }
        Ok(match member {
            // Another person's name or address may become the same username.
            _ if self.normalisation == Normalisation::LossyAscii || self.rewriting.is_some() => {
                NameSource::Claim
            }
            Some("sub") => NameSource::Subject,
            Some(EMAIL) if verified == Verified::Yes => NameSource::VerifiedEmail,
            Some(EMAIL) => NameSource::UnverifiedEmail,
            _ => NameSource::Claim,
        })
    }

    /// Returns each path with its source, in the best case of an address.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, NameSource)> {
        let source = |path| self.source(path, Verified::Yes).unwrap_or(NameSource::Claim);
        self.candidates.iter().map(move |path| (path.as_str(), source(path)))
    }

    fn normalise(&self, raw: &str, observer: &mut dyn Observer) -> Result<String, IdentityError> {
        let name = fold(raw, self.normalisation)?;
        let name = match &self.rewriting {
            Some(rewriting) => fold(&rewriting.apply(name, observer)?, self.normalisation)?,
            None => name,
        };
        if self.prefix.is_empty() {
            return within(name, self.max);
        }
        within(composed(&format!("{}{name}", self.prefix)).into_owned(), self.max)
    }
}

/// Checks that a prefix is in normal form, as the whole username must be.
fn check_prefix(spec: &MappingSpec) -> Result<(), MappingError> {
    let prefix = &spec.username_prefix;
    let fault = |reason| Err(MappingError::setting(SettingPath::of("username_prefix"), reason));
    match fold(prefix, spec.normalise) {
        _ if prefix.is_empty() => Ok(()),
        Ok(normal) if normal == *prefix => Ok(()),
        Ok(normal) => fault(format!("write `{normal}`: usernames have that form with this `normalise`")),
        Err(error) => fault(error.to_string()),
    }
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
