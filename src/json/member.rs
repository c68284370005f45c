//! Members of a JSON object as the types that JWKs use (RFC 7517 §4, RFC 7518 §6).

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::kind_of;
use crate::base64url;

/// What is wrong with a member. Its message is a predicate, as in "`n` is absent".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberFault {
    /// A required member is absent.
    #[error("is absent")]
    Absent,
    /// It is of another type than its definition requires.
    #[error("is {found}, and must be {expected}")]
    Type {
        /// What it is, such as `a number`.
        found: &'static str,
        /// What it must be, such as `a string`.
        expected: &'static str,
    },
    /// A string that is not canonical base64url.
    #[error("is not base64url: {0}")]
    Base64Url(&'static str),
    /// A value that is no value of this member.
    #[error("is refused: {0}")]
    Value(Cow<'static, str>),
}

/// A member that cannot be used, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidMember(pub(crate) &'static str, pub(crate) MemberFault);

/// Returns a string member, or `None` if it is absent.
pub(crate) fn text<'j>(
    object: &'j Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'j str>, InvalidMember> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(InvalidMember(name, MemberFault::Type { found: kind_of(other), expected: "a string" }))
        }
    }
}

/// Returns a string member, or `None` if it is absent or null.
pub(crate) fn text_or_null<'j>(
    object: &'j Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'j str>, InvalidMember> {
    if object.get(name).is_some_and(Value::is_null) { Ok(None) } else { text(object, name) }
}

/// Returns a string member that must be present.
pub(crate) fn required_text<'j>(
    object: &'j Map<String, Value>,
    name: &'static str,
) -> Result<&'j str, InvalidMember> {
    text(object, name)?.ok_or(InvalidMember(name, MemberFault::Absent))
}

/// Decodes a base64url member that must be present, in a time that depends only on its length if it is
/// canonical.
pub(crate) fn bytes(object: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, InvalidMember> {
    let text = required_text(object, name)?.as_bytes();
    base64url::decode_secret(text)
        .map_err(|_| InvalidMember(name, MemberFault::Base64Url(base64url::fault(text))))
}
