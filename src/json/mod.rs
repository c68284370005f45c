//! A bounded JSON parse: one object, no duplicate member at any depth (RFC 7515 §4, RFC 7519 §4).
//!
//! `serde_json` does the lexing (UTF-8, escapes, surrogates, numbers, trailing bytes); this module
//! adds what it leaves open: duplicate members, depth, and how many values one text may hold.

mod scan;

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::limits::Limits;

pub(crate) use scan::{Scanned, scan_object};

/// Why a text is not an acceptable JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON as RFC 8259 has it, not UTF-8, bytes after the end, or a number out of range.
    #[error("not valid JSON")]
    Syntax,
    /// Valid JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// An object names a member twice (compared after unescaping).
    #[error("an object holds a member twice")]
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
/// A [`JsonError`]; the first one met, in the order of the text.
pub fn parse_object(text: &[u8], limits: &Limits) -> Result<Map<String, Value>, JsonError> {
    match parse(text, limits)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Parses one JSON value under the same rules.
///
/// # Errors
/// As [`parse_object`], [`JsonError::NotAnObject`] excepted.
pub fn parse(text: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    let budget = Budget { items: Cell::new(limits.json_items), refusal: Cell::new(None) };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let seed = Strict { budget: &budget, depth: limits.json_depth.min(SERDE_JSON_DEPTH) };
    seed.deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|_| budget.refusal.get().unwrap_or(JsonError::Syntax))
}

/// `serde_json` stops at 128 levels itself, as a syntax error; stay below it to name the reason.
const SERDE_JSON_DEPTH: usize = 120;

struct Budget {
    items: Cell<usize>,
    refusal: Cell<Option<JsonError>>,
}

impl Budget {
    fn refuse<E: serde::de::Error>(&self, reason: JsonError) -> E {
        self.refusal.set(Some(reason));
        E::custom(reason)
    }

    fn take<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.items.get().checked_sub(1) {
            Some(left) => {
                self.items.set(left);
                Ok(())
            }
            None => Err(self.refuse(JsonError::TooManyItems)),
        }
    }
}

#[derive(Clone, Copy)]
struct Strict<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Strict<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.budget.refuse(JsonError::TooDeep)),
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
                return Err(self.budget.refuse(JsonError::DuplicateMember));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> JsonError {
        parse_object(text.as_bytes(), &Limits::DEFAULT).expect_err(text)
    }

    #[test]
    fn names_the_reason() {
        use JsonError::*;
        assert_eq!(refused(r#"{"a":1,"a":2}"#), DuplicateMember);
        assert_eq!(refused(r#"{"a":1,"\u0061":2}"#), DuplicateMember);
        assert_eq!(refused(r#"{"x":[{"a":1,"a":2}]}"#), DuplicateMember);
        assert_eq!(refused("[]"), NotAnObject);
        assert_eq!(refused("\u{feff}{}"), Syntax);
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
            assert_eq!(refused(text), Syntax, "{text}");
        }
        assert_eq!(refused(&format!("{{\"a\":{}", "[".repeat(10_000))), TooDeep);
        let many = format!("{{\"a\":[{}1]}}", "1,".repeat(Limits::DEFAULT.json_items));
        assert_eq!(refused(&many), TooManyItems);
    }

    #[test]
    fn depth_is_exact() {
        let nested = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels - 1) + "{", "}".repeat(levels));
        let limits = Limits { json_depth: 4, ..Limits::DEFAULT };
        assert!(parse_object(nested(4).as_bytes(), &limits).is_ok());
        assert_eq!(parse_object(nested(5).as_bytes(), &limits), Err(JsonError::TooDeep));
    }
}
