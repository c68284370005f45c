//! A fast path for JSON objects: one pass over the text, without allocation.
//!
//! The scanner accepts the subset of JSON that nearly all tokens use: no escapes, no control
//! characters, integers and short decimals, a bounded number of member names. For any other text,
//! valid or not, it returns `None`, and the caller uses [`parse_object`](super::parse_object). A text
//! that the scanner accepts must be one that `parse_object` accepts, with the same members; the fuzz
//! target `claims` compares the two.

use super::SERDE_JSON_DEPTH;
use crate::limits::Limits;

/// A member's value, in the detail that a claims set needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned<'t> {
    /// The contents of a string.
    Text(&'t str),
    /// A whole number that is not negative.
    Integer(u64),
    /// The text of an array of one or more strings, none empty, with its brackets.
    Strings(&'t str),
    /// The text of any other array, with its brackets.
    Array(&'t str),
    /// The text of an object, with its braces.
    Object(&'t str),
    /// `null`.
    Null,
    /// Any other number, `true` or `false`.
    Other,
}

/// Maximum number of member names across all objects that are open at one time.
const NAMES: usize = 64;
/// Maximum number of digits before and after a decimal point: `u64` and `f64` represent an integer
/// of 15 digits exactly.
const DIGITS: usize = 15;

/// Calls `member` for each member of the object, in the order of the text. Returns `None` if the
/// text is invalid or outside the fast path's subset; `member` may have been called before.
pub(crate) fn scan_object<'t>(
    text: &'t str,
    limits: &Limits,
    mut member: impl FnMut(&'t str, Scanned<'t>),
) -> Option<()> {
    if text.bytes().fold(false, |odd, byte| odd | (byte < b' ') | (byte == b'\\')) {
        return None;
    }
    let mut names = NO_NAMES;
    let mut scanner = Scanner { text, at: 0, items: limits.json_items, names: &mut names, open: 0 };
    scanner.skip_spaces();
    scanner.object(limits.json_depth.min(SERDE_JSON_DEPTH), &mut member)?;
    scanner.skip_spaces();
    (scanner.at == text.len()).then_some(())
}

/// The place of a member name in the text, and its beginning.
#[derive(Clone, Copy)]
struct Name {
    start: u32,
    length: u32,
    /// The first eight bytes, or all of them and zeros. Nearly all names differ in these.
    beginning: u64,
}

const NO_NAMES: [Name; NAMES] = [Name { start: 0, length: 0, beginning: 0 }; NAMES];

struct Scanner<'t, 'n> {
    text: &'t str,
    at: usize,
    /// Number of further members and elements that the limits allow.
    items: usize,
    /// The names in each open object, those of the innermost last.
    names: &'n mut [Name; NAMES],
    open: usize,
}

impl<'t> Scanner<'t, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Skips white space. The text has no control characters: a space is the only white space.
    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn object(&mut self, depth: usize, member: &mut impl FnMut(&'t str, Scanned<'t>)) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let outer = self.open;
        self.take(b'{')?;
        self.skip_spaces();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.open_name(name, outer)?;
            self.items = self.items.checked_sub(1)?;
            self.skip_spaces();
            self.take(b':')?;
            self.skip_spaces();
            let value = self.value(depth)?;
            member(name, value);
            self.skip_spaces();
            if self.take(b',').is_none() {
                break;
            }
            self.skip_spaces();
        }
        self.open = outer;
        self.take(b'}')
    }

    /// Adds the name read last. Returns `None` if its object already has the name.
    fn open_name(&mut self, name: &str, outer: usize) -> Option<()> {
        let start = self.at - 1 - name.len();
        let length = u32::try_from(name.len()).ok()?;
        let beginning = beginning(&self.text.as_bytes()[start..], name.len());
        for known in &self.names[outer..self.open] {
            let may_be_equal = known.beginning == beginning && known.length == length;
            if may_be_equal && self.text.as_bytes()[known.start as usize..].starts_with(name.as_bytes()) {
                return None;
            }
        }
        *self.names.get_mut(self.open)? = Name { start: u32::try_from(start).ok()?, length, beginning };
        self.open += 1;
        Some(())
    }

    /// Returns whether the array is one of strings: one or more, none empty.
    fn array(&mut self, depth: usize) -> Option<bool> {
        let depth = depth.checked_sub(1)?;
        self.take(b'[')?;
        self.skip_spaces();
        if self.take(b']').is_some() {
            return Some(false);
        }
        let mut strings = true;
        loop {
            // Most elements are strings: these need no `Scanned`.
            if self.peek()? == b'"' {
                strings &= !self.string()?.is_empty();
            } else {
                self.value(depth)?;
                strings = false;
            }
            self.items = self.items.checked_sub(1)?;
            self.skip_spaces();
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(strings);
            }
            self.skip_spaces();
        }
    }

    fn value(&mut self, depth: usize) -> Option<Scanned<'t>> {
        let start = self.at;
        match self.peek()? {
            b'"' => self.string().map(Scanned::Text),
            b'{' => {
                self.object(depth, &mut |_, _| ())?;
                Some(Scanned::Object(&self.text[start..self.at]))
            }
            b'[' => {
                let strings = self.array(depth)?;
                let text = &self.text[start..self.at];
                Some(if strings { Scanned::Strings(text) } else { Scanned::Array(text) })
            }
            b't' => self.word("true", Scanned::Other),
            b'f' => self.word("false", Scanned::Other),
            b'n' => self.word("null", Scanned::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Scanned<'t>) -> Option<Scanned<'t>> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| {
            self.at += word.len();
            value
        })
    }

    /// Reads a string and returns its contents. The text has no escapes: the next quotation mark
    /// ends the string.
    fn string(&mut self) -> Option<&'t str> {
        self.take(b'"')?;
        let start = self.at;
        let length = find_quote(&self.text.as_bytes()[start..])?;
        self.at = start + length + 1;
        Some(&self.text[start..start + length])
    }

    /// Reads a number (RFC 8259 §6) without an exponent.
    fn number(&mut self) -> Option<Scanned<'t>> {
        let negative = self.take(b'-').is_some();
        let first = self.at;
        let integer = self.digits()?;
        if self.at - first > 1 && self.text.as_bytes()[first] == b'0' {
            return None;
        }
        let fraction = self.take(b'.').is_some();
        if fraction {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            return None;
        }
        Some(if negative || fraction { Scanned::Other } else { Scanned::Integer(integer) })
    }

    fn digits(&mut self) -> Option<u64> {
        let start = self.at;
        let mut value = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.at - start == DIGITS {
                return None;
            }
            value = value * 10 + u64::from(digit - b'0');
            self.at += 1;
        }
        (self.at > start).then_some(value)
    }
}

/// Returns the first eight bytes of a text as a number; of a shorter `length`, these bytes and zeros.
fn beginning(text: &[u8], length: usize) -> u64 {
    match text.first_chunk::<8>() {
        Some(word) if length < 8 => u64::from_le_bytes(*word) & !(u64::MAX << (8 * length)),
        Some(word) => u64::from_le_bytes(*word),
        // Fewer than eight bytes before the end of the text: the same number, byte by byte.
        None => {
            let bytes = text.iter().take(length).enumerate();
            bytes.fold(0, |word, (index, byte)| word | u64::from(*byte) << (8 * index))
        }
    }
}

/// Returns the index of the first quotation mark, searching eight bytes at a time.
fn find_quote(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const QUOTES: u64 = ONES * b'"' as u64;
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // A quotation mark becomes a zero byte. The lowest high bit set in `zeros` belongs to the
        // lowest zero byte: a borrow sets bits only above it.
        let differing = u64::from_le_bytes(*word) ^ QUOTES;
        let zeros = differing.wrapping_sub(ONES) & !differing & (ONES << 7);
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| *byte == b'"')?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::json::parse_object;

    fn is_accepted(text: &str) -> bool {
        scan_object(text, &Limits::DEFAULT, |_, _| ()).is_some()
    }

    #[test]
    fn a_name_that_comes_twice_is_seen_wherever_it_stands() {
        for length in 0..=40 {
            let name = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop"[..length].to_owned();
            for value in ["1", "\"\"", "{}", "\"a longer value, so that the text does not end here\""] {
                let twice = format!(r#"{{"{name}":0,"x y":[{value}],"{name}":{value}}}"#);
                assert!(!is_accepted(&twice), "{twice}");
                let within = format!(r#"{{"z":{{"{name}":0,"{name}":{value}}}}}"#);
                assert!(!is_accepted(&within), "{within}");
                let longer = format!(r#"{{"{name}":0,"{name}!":{value}}}"#);
                assert!(is_accepted(&longer), "{longer}");
                let apart = format!(r#"{{"{name}":{{"{name}":{value}}},"q":[{{"{name}":1}}]}}"#);
                assert!(name == "q" || is_accepted(&apart), "{apart}");
            }
        }
    }

    #[test]
    fn a_quotation_mark_is_found_wherever_it_is() {
        for length in 0..40 {
            // Bytes of neighbouring values: a borrow must not make one look like a quotation mark.
            for filler in ["#", "!", "\u{a2}", "a"] {
                let text = format!("{}\"#\"", filler.repeat(length));
                assert_eq!(find_quote(text.as_bytes()), text.find('"'), "{text}");
                assert_eq!(find_quote(filler.repeat(length).as_bytes()), None);
            }
        }
    }

    fn is_same(text: &str, strict: &Value) -> bool {
        serde_json::from_str::<Value>(text).ok().as_ref() == Some(strict)
    }

    fn is_array_of_strings(value: &Value) -> bool {
        let is_name = |value: &Value| value.as_str().is_some_and(|name| !name.is_empty());
        value.as_array().is_some_and(|elements| !elements.is_empty() && elements.iter().all(is_name))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 20_000 }))]

        /// Each member is reported with the value that the strict parser gives it.
        #[test]
        fn what_is_taken_the_strict_parse_takes(
            text in r#"\{("(a|b|ab|aud|exp|)" ?: ?("x?"|-?[01]{0,3}(\.[0-9]?)?|null|true|\[("a"|""|1|,|\[|\]| ){0,4}\]|\{("a":1)?(,"a":1)?\}),?){0,4}\}"#,
        ) {
            let mut reported = Vec::new();
            if scan_object(&text, &Limits::DEFAULT, |name, value| reported.push((name, value))).is_some() {
                let members = parse_object(text.as_bytes(), &Limits::DEFAULT);
                prop_assert!(members.is_ok(), "{}", text);
                let members = members.expect("asserted above");
                prop_assert_eq!(reported.len(), members.len());
                for (name, value) in reported {
                    let strict = &members[name];
                    let same = match value {
                        Scanned::Text(text) => strict.as_str() == Some(text),
                        Scanned::Integer(number) => strict.as_u64() == Some(number),
                        Scanned::Strings(text) => is_same(text, strict) && is_array_of_strings(strict),
                        Scanned::Array(text) => is_same(text, strict) && !is_array_of_strings(strict),
                        Scanned::Object(text) => is_same(text, strict),
                        Scanned::Null => strict.is_null(),
                        Scanned::Other => strict.is_boolean() || strict.is_number(),
                    };
                    prop_assert!(same, "{} is {} in {}", name, strict, text);
                }
            }
        }
    }
}
