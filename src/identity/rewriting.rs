//! Usernames made of a part of a claim: a pattern for the whole name, and a text with its captures.

use regex::Regex;

use super::explain::Observer;
use super::pattern::{Template, capture, captures, compile_regex};
use super::spec::{MappingSpec, Unmatched};
use super::{IdentityError, MappingError, SettingPath};
use crate::text::for_display;

/// The rule that makes a username of a part of a name.
#[derive(Clone, Debug)]
pub(super) struct Rewriting {
    pattern: Regex,
    template: Template,
    unmatched: Unmatched,
}

impl Rewriting {
    /// Compiles the rule of a mapping; `None` if it has none.
    pub(super) fn compile(spec: &MappingSpec) -> Result<Option<Self>, MappingError> {
        let fault = |name: &str, reason: String| Err(MappingError::setting(SettingPath::of(name), reason));
        let Some(pattern) = &spec.username_regex else {
            return match (&spec.username_template, spec.username_unmatched) {
                (None, None) => Ok(None),
                (Some(_), _) => fault("username_template", "needs `username_regex`".to_owned()),
                (None, Some(_)) => fault("username_unmatched", "needs `username_regex`".to_owned()),
            };
        };
        let pattern = compile_regex(pattern, &SettingPath::of("username_regex"))?;
        let text = spec.username_template.as_deref().unwrap_or("{1}");
        let template = match Template::parse(text, &captures(&pattern)) {
            Ok(template) if template.is_fixed() => {
                return fault(
                    "username_template",
                    "needs a capture, such as {1}: all would have one name".to_owned(),
                );
            }
            Ok(template) => template,
            Err(reason) => return fault("username_template", reason),
        };
        Ok(Some(Self { pattern, template, unmatched: spec.username_unmatched.unwrap_or_default() }))
    }

    /// Returns the name that the rule makes of another, which is in its normal form.
    ///
    /// # Errors
    /// [`IdentityError::UsernameUnmatched`]; [`IdentityError::EmptyUsername`] if a capture is empty.
    pub(super) fn apply(&self, name: String, observer: &mut dyn Observer) -> Result<String, IdentityError> {
        let filled =
            self.pattern.captures(&name).map(|captures| self.template.fill(&|gap| capture(&captures, gap)));
        let made = match filled {
            Some(filled) => filled.ok_or(IdentityError::EmptyUsername)?,
            None if self.unmatched == Unmatched::Keep => name.clone(),
            None => return Err(IdentityError::UsernameUnmatched { name: for_display(&name) }),
        };
        observer.rewritten(&name, &made);
        Ok(made)
    }
}
