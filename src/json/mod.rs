//! A strict JSON parser: no duplicate member at any depth (RFC 7515 §4, RFC 7519 §4), with limits
//! on depth and number of values.
//!
//! `serde_json` does the lexing (UTF-8, escapes, surrogates, numbers, trailing bytes). This module
//! adds the check for duplicate members, the limits, and reasons that a person can act on.
//!
//! ```
//! use claimgate::json::{self, JsonError};
//! use claimgate::limits::Limits;
//!
//! let document = json::parse_document(b"\xef\xbb\xbf{\"a\": [1]}", &Limits::DEFAULT)?;
//! assert_eq!(json::kind_of(&document["a"]), "an array");
//! assert_eq!(json::without_byte_order_mark(b"\xef\xbb\xbf{}"), b"{}");
//! assert_eq!(json::parse(b"[1]", &Limits::DEFAULT)?, serde_json::json!([1]));
//! assert!(json::parse_object(br#"{"a": 1, "a": 2}"#, &Limits::DEFAULT).is_err());
//! # Ok::<(), JsonError>(())
//! ```

pub(crate) mod member;
mod scan;

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::limits::Limits;
use crate::text;

pub use member::MemberFault;
pub(crate) use scan::{Scanned, scan_object};

/// The reason why a JSON text is rejected. Its message is a predicate: a caller writes what the text is
/// before it, as in "the header holds the member `alg` twice".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Invalid JSON (RFC 8259), or bytes after the end.
    #[error("is not valid JSON")]
    Syntax,
    /// Bytes that are not UTF-8.
    #[error("is not UTF-8, the encoding of JSON; Latin-1 and UTF-16 are not accepted")]
    Encoding,
    /// A byte order mark before the JSON text, where none is ignored (RFC 8259 §8.1).
    #[error("begins with a byte order mark; it must be sent without")]
    ByteOrderMark,
    /// A string with an escaped surrogate that has no partner (RFC 8259 §8.2).
    #[error("holds half of a surrogate pair, such as `\\ud800`, which is no character")]
    Surrogate,
    /// A number beyond the range of a double (RFC 8259 §6).
    #[error("holds a number beyond the range of a double")]
    Number,
    /// Valid JSON, but not an object.
    #[error("is {found}, and must be a JSON object")]
    NotAnObject {
        /// What it is, such as `an array`.
        found: &'static str,
    },
    /// An object has two members of the same name (compared after unescaping).
    #[error("holds the member `{name}` twice")]
    DuplicateMember {
        /// The name, escaped and cut for display.
        name: String,
    },
    /// Nested more deeply than [`Limits::json_depth`].
    #[error("is nested too deeply")]
    TooDeep,
    /// More values than [`Limits::json_items`].
    #[error("holds too many values")]
    TooManyItems,
}

/// Returns what kind of value this is, with its article.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(elements) if elements.is_empty() => "an empty array",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Parses one JSON object that is a whole document, such as a file or an HTTP response: a byte order mark
/// before it is ignored, as RFC 8259 §8.1 allows. Header and payload of a token have none.
///
/// # Errors
/// As [`parse_object`], but never [`JsonError::ByteOrderMark`].
pub fn parse_document(text: &[u8], limits: &Limits) -> Result<Map<String, Value>, JsonError> {
    parse_object(without_byte_order_mark(text), limits)
}

/// Returns a document without the byte order mark before it.
#[must_use]
pub fn without_byte_order_mark(document: &[u8]) -> &[u8] {
    document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document)
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Parses one JSON object.
///
/// # Errors
/// The first [`JsonError`] in the order of the text.
pub fn parse_object(text: &[u8], limits: &Limits) -> Result<Map<String, Value>, JsonError> {
    object(parse(text, limits)?)
}

/// Parses one JSON value, under the rules of [`parse_object`].
///
/// # Errors
/// The first [`JsonError`] in the order of the text, never [`JsonError::NotAnObject`].
pub fn parse(text: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    parse_part(text, limits, Part::Plain).map(|(value, _)| value)
}

/// The elements of a list that hold a member twice, by their index.
pub(crate) type Faults = Vec<(usize, JsonError)>;

/// Parses one JSON object whose member `list` is an array of documents that stand for themselves. An element
/// that holds a member twice is no error of the whole: it is returned among the faults, and its value is not
/// to be used.
///
/// # Errors
/// As [`parse_object`].
pub(crate) fn parse_list(
    text: &[u8],
    list: &'static str,
    limits: &Limits,
) -> Result<(Map<String, Value>, Faults), JsonError> {
    let (value, faults) = parse_part(text, limits, Part::Holder(list))?;
    Ok((object(value)?, faults))
}

fn object(value: Value) -> Result<Map<String, Value>, JsonError> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(JsonError::NotAnObject { found: kind_of(&other) }),
    }
}

fn parse_part(text: &[u8], limits: &Limits, part: Part) -> Result<(Value, Faults), JsonError> {
    let budget = Budget {
        items: Cell::new(limits.json_items),
        rejection: RefCell::default(),
        fault: RefCell::default(),
        faults: RefCell::default(),
    };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let seed = Strict { budget: &budget, depth: limits.json_depth.min(SERDE_JSON_DEPTH), part };
    let value = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| budget.rejection.take().unwrap_or_else(|| syntax(text, &error)))?;
    Ok((value, budget.faults.into_inner()))
}

/// Returns the reason for a text that `serde_json` rejects.
fn syntax(text: &[u8], error: &serde_json::Error) -> JsonError {
    let message = error.to_string();
    if text.starts_with(BYTE_ORDER_MARK) {
        JsonError::ByteOrderMark
    } else if std::str::from_utf8(text).is_err() {
        JsonError::Encoding
    } else if message.contains("surrogate") || message.contains("end of hex escape") {
        JsonError::Surrogate
    } else if message.contains("number out of range") {
        JsonError::Number
    } else {
        JsonError::Syntax
    }
}

/// Maximum depth whatever the limits. `serde_json` reports a syntax error at 128 levels; a lower
/// maximum keeps [`JsonError::TooDeep`] the reason.
const SERDE_JSON_DEPTH: usize = 120;

/// The state of one parse, shared by all nested values.
struct Budget {
    /// Number of further members and elements that the limits allow.
    items: Cell<usize>,
    /// The reason of this module's own error, which `serde_json` reports as text only.
    rejection: RefCell<Option<JsonError>>,
    /// The first fault of the list's element that is being parsed.
    fault: RefCell<Option<JsonError>>,
    faults: RefCell<Faults>,
}

/// What a value is to [`parse_list`].
#[derive(Clone, Copy)]
enum Part {
    Plain,
    /// The object whose member of this name is the list.
    Holder(&'static str),
    List,
    /// An element of the list, or a value in one.
    Element,
}

impl Part {
    /// Returns the part that a member of this name is.
    fn member(self, name: &str) -> Self {
        match self {
            Part::Holder(list) if list == name => Part::List,
            Part::Element => Part::Element,
            Part::Plain | Part::Holder(_) | Part::List => Part::Plain,
        }
    }
}

impl Budget {
    fn reject<E: serde::de::Error>(&self, reason: JsonError) -> E {
        *self.rejection.borrow_mut() = Some(reason);
        E::custom("rejected")
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
    part: Part,
}

impl Strict<'_> {
    /// Returns the deserializer for the members or elements of a value, of the same part.
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
        let is_list = matches!(self.part, Part::List);
        let part = if is_list { Part::Element } else { self.part };
        let inner = Self { part, ..self.inner()? };
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element_seed(inner)? {
            self.budget.take()?;
            if is_list && let Some(fault) = self.budget.fault.take() {
                self.budget.faults.borrow_mut().push((elements.len(), fault));
            }
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.budget.take()?;
            let value = members.next_value_seed(Self { part: self.part.member(&name), ..inner })?;
            match object.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(known) => {
                    let reason = JsonError::DuplicateMember { name: text::name(known.key()) };
                    if !matches!(self.part, Part::Element) {
                        return Err(self.budget.reject(reason));
                    }
                    self.budget.fault.borrow_mut().get_or_insert(reason);
                }
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

    // finding: F8, U-t46, U-s59, U-s24, U-s57, U-s06
    #[test]
    fn names_the_reason() {
        use JsonError::*;
        let twice = |name: &str| DuplicateMember { name: name.to_owned() };
        assert_eq!(rejection(r#"{"a":1,"a":2}"#), twice("a"));
        assert_eq!(rejection(r#"{"a":1,"\u0061":2}"#), twice("a"));
        assert_eq!(rejection(r#"{"x":[{"b":1,"b":2}]}"#), twice("b"));
        assert_eq!(rejection(r#"{"\u001b[31m":1,"\u001b[31m":2}"#), twice(r"\u{1b}[31m"));
        assert_eq!(rejection("[]"), NotAnObject { found: "an empty array" });
        assert_eq!(rejection("\u{feff}{}"), ByteOrderMark);
        assert_eq!(parse_object(b"{\"a\":\"M\xfcller\"}", &Limits::DEFAULT), Err(Encoding));
        for text in
            [r#"{"a":"\ud800"}"#, r#"{"a":"\udc00"}"#, r#"{"a":"\ud83dx"}"#, r#"{"a":"\ud83d\ud83d"}"#]
        {
            assert_eq!(rejection(text), Surrogate, "{text}");
        }
        assert_eq!(rejection(r#"{"a":1e400}"#), Number);
        for text in ["", "{}x", "{}{}", r#"{"a":NaN}"#, r#"{"a":"\u12"}"#, "{/**/}", "{'a':1}", r#"{"a":1,}"#]
        {
            assert_eq!(rejection(text), Syntax, "{text}");
        }
        assert_eq!(rejection(&format!("{{\"a\":{}", "[".repeat(10_000))), TooDeep);
        let many = format!("{{\"a\":[{}1]}}", "1,".repeat(Limits::DEFAULT.json_items));
        assert_eq!(rejection(&many), TooManyItems);
    }

    #[test]
    fn a_list_keeps_the_faults_of_its_elements_apart() {
        let read = |text: &str| parse_list(text.as_bytes(), "keys", &Limits::DEFAULT);
        let twice = |name: &str| JsonError::DuplicateMember { name: name.to_owned() };
        let text =
            r#"{"keys":[{"a":1},{"a":1,"a":2,"b":1,"b":2},[[{"c":{"d":1,"d":2}}]],{"a":{"a":{}}}],"x":{}}"#;
        let (set, faults) = read(text).expect("a list");
        assert_eq!(set["keys"].as_array().map(Vec::len), Some(4));
        assert_eq!(faults, [(1, twice("a")), (2, twice("d"))]);
        for refused in [r#"{"keys":[],"keys":[]}"#, r#"{"keys":[{"keys":[]}],"keys":1}"#] {
            assert_eq!(read(refused), Err(twice("keys")));
        }
        for refused in
            [r#"{"keys":{"a":1,"a":1}}"#, r#"{"x":{"a":1,"a":1},"keys":[]}"#, r#"{"x":[{"a":1,"a":1}]}"#]
        {
            assert_eq!(read(refused), Err(twice("a")));
        }
        assert_eq!(read(r#"[{"a":1,"a":1}]"#), Err(twice("a")));
    }

    #[test]
    fn depth_is_exact() {
        let nested = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels - 1) + "{", "}".repeat(levels));
        let limits = Limits { json_depth: 4, ..Limits::DEFAULT };
        assert!(parse_object(nested(4).as_bytes(), &limits).is_ok());
        assert_eq!(parse_object(nested(5).as_bytes(), &limits), Err(JsonError::TooDeep));
    }
}
