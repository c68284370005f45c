//! Members of a JSON object as the types that JWKs use (RFC 7517 §4, RFC 7518 §6).

use serde_json::{Map, Value};

use crate::base64url;

/// The name of a member that is absent, of the wrong type or not canonical base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidMember(pub(crate) &'static str);

/// Returns a string member, or `None` if it is absent.
pub(crate) fn text<'j>(
    object: &'j Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'j str>, InvalidMember> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(InvalidMember(name)),
    }
}

/// Returns a string member that must be present.
pub(crate) fn required_text<'j>(
    object: &'j Map<String, Value>,
    name: &'static str,
) -> Result<&'j str, InvalidMember> {
    text(object, name)?.ok_or(InvalidMember(name))
}

/// Decodes a base64url member that must be present, in a time that depends only on its length.
pub(crate) fn bytes(object: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, InvalidMember> {
    let text = required_text(object, name)?;
    base64url::decode_secret(text.as_bytes()).map_err(|_| InvalidMember(name))
}
