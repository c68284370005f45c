//! A strict JSON parser: no duplicate member at any depth (RFC 7515 §4, RFC 7519 §4), with limits
//! on depth and number of values.
//!
//! `serde_json` does the lexing (UTF-8, escapes, surrogates, numbers, trailing bytes). This module
//! adds the check for duplicate members and the limits.

pub(crate) mod member;
mod scan;

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::limits::Limits;

pub(crate) use scan::{Scanned, scan_object};

/// The reason why a JSON text is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Invalid JSON (RFC 8259) or UTF-8, bytes after the end, or a number out of range.
    #[error("not valid JSON")]
    Syntax,
    /// Valid JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// An object has two members of the same name (compared after unescaping).
    #[error("an object has two members of the same name")]
    DuplicateMember,
    /// Nested more deeply than [`Limits::json_depth`].
    #[error("nested too deeply")]
    TooDeep,
    /// More values than [`Limits::json_items`].
    #[error("too many values")]
    TooManyItems,
}

/// Parses one JSON object.
///
/// # Errors
/// The first [`JsonError`] in the order of the text.
pub fn parse_object(text: &[u8], limits: &Limits) -> Result<Map<String, Value>, JsonError> {
    match parse(text, limits)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Parses one JSON value, under the rules of [`parse_object`].
///
/// # Errors
/// The first [`JsonError`] in the order of the text, never [`JsonError::NotAnObject`].
pub fn parse(text: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    let budget = Budget { items: Cell::new(limits.json_items), rejection: Cell::new(None) };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let seed = Strict { budget: &budget, depth: limits.json_depth.min(SERDE_JSON_DEPTH) };
    seed.deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|_| budget.rejection.get().unwrap_or(JsonError::Syntax))
}

/// Maximum depth whatever the limits. `serde_json` reports a syntax error at 128 levels; a lower
/// maximum keeps [`JsonError::TooDeep`] the reason.
const SERDE_JSON_DEPTH: usize = 120;

/// The state of one parse, shared by all nested values.
struct Budget {
    /// Number of further members and elements that the limits allow.
    items: Cell<usize>,
    /// The reason of this module's own error, which `serde_json` reports as text only.
    rejection: Cell<Option<JsonError>>,
}

impl Budget {
    fn reject<E: serde::de::Error>(&self, reason: JsonError) -> E {
        self.rejection.set(Some(reason));
        E::custom(reason)
    }

    /// Counts one member or element.
    fn take<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.items.get().checked_sub(1) {
            Some(remaining) => {
                self.items.set(remaining);
                Ok(())
            }
            None => Err(self.reject(JsonError::TooManyItems)),
        }
    }
}

/// A deserializer of one value, at most `depth` levels deep.
#[derive(Clone, Copy)]
struct Strict<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Strict<'_> {
    /// Returns the deserializer for the members or elements of a value.
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.budget.reject(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element_seed(inner)? {
            self.budget.take()?;
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.budget.take()?;
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(self.budget.reject(JsonError::DuplicateMember));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(text: &str) -> JsonError {
        parse_object(text.as_bytes(), &Limits::DEFAULT).expect_err(text)
    }

    #[test]
    fn names_the_reason() {
        use JsonError::*;
        assert_eq!(rejection(r#"{"a":1,"a":2}"#), DuplicateMember);
        assert_eq!(rejection(r#"{"a":1,"\u0061":2}"#), DuplicateMember);
        assert_eq!(rejection(r#"{"x":[{"a":1,"a":2}]}"#), DuplicateMember);
        assert_eq!(rejection("[]"), NotAnObject);
        assert_eq!(rejection("\u{feff}{}"), Syntax);
        for text in [
            "",
            "{}x",
            "{}{}",
            r#"{"a":NaN}"#,
            r#"{"a":1e400}"#,
            r#"{"a":"\ud800"}"#,
            "{/**/}",
            "{'a':1}",
            r#"{"a":1,}"#,
        ] {
            assert_eq!(rejection(text), Syntax, "{text}");
        }
        assert_eq!(rejection(&format!("{{\"a\":{}", "[".repeat(10_000))), TooDeep);
        let many = format!("{{\"a\":[{}1]}}", "1,".repeat(Limits::DEFAULT.json_items));
        assert_eq!(rejection(&many), TooManyItems);
    }

    #[test]
    fn depth_is_exact() {
        let nested = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels - 1) + "{", "}".repeat(levels));
        let limits = Limits { json_depth: 4, ..Limits::DEFAULT };
        assert!(parse_object(nested(4).as_bytes(), &limits).is_ok());
        assert_eq!(parse_object(nested(5).as_bytes(), &limits), Err(JsonError::TooDeep));
    }
}
