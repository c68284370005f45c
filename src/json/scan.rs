//! One pass over an ordinary JSON object, borrowing and allocating nothing.
//!
//! It takes what tokens are nearly always like: no escapes, no control characters, integers and
//! short decimals, not too many names at a time. Anything else, and anything that is wrong, is
//! `None`: [`parse_object`](super::parse_object) then judges. So a text that is taken here must be
//! one that it takes as well, with the same members; the fuzz target `claims` compares.

use super::SERDE_JSON_DEPTH;
use crate::limits::Limits;

/// A member's value, as far as a claims set needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned<'t> {
    /// A string's contents.
    Text(&'t str),
    /// A whole number that is not negative.
    Integer(u64),
    /// An array's text, brackets included.
    Array(&'t str),
    /// An object's text, braces included.
    Object(&'t str),
    /// `null`.
    Null,
    /// Any other number, `true` or `false`.
    Other,
}

/// Names of the objects that are open at one time; with more, it is not an ordinary text.
const NAMES: usize = 64;
/// Digits that a number may have without leaving what every type of number holds exactly.
const DIGITS: usize = 15;

/// Tells each member of the object, in the order of the text; `None` where the text is not ordinary
/// or not acceptable, after some members were told perhaps.
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

/// Where a name stands, and how it begins.
#[derive(Clone, Copy)]
struct Name {
    start: u32,
    length: u32,
    /// Its first eight bytes, or all of them and zeros: names differ here nearly always.
    beginning: u64,
}

const NO_NAMES: [Name; NAMES] = [Name { start: 0, length: 0, beginning: 0 }; NAMES];

struct Scanner<'t, 'n> {
    text: &'t str,
    at: usize,
    /// How many more members and elements there may be.
    items: usize,
    /// The names in each object that is open, the innermost's last.
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

    /// Control characters have been ruled out, so a space is the only white space left.
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

    /// Notes a name that has just been read; `None` if its object has it already.
    fn open_name(&mut self, name: &str, outer: usize) -> Option<()> {
        let start = self.at - 1 - name.len();
        let length = u32::try_from(name.len()).ok()?;
        let beginning = beginning(&self.text.as_bytes()[start..], name.len());
        for known in &self.names[outer..self.open] {
            let may_be_it = known.beginning == beginning && known.length == length;
            if may_be_it && self.text.as_bytes()[known.start as usize..].starts_with(name.as_bytes()) {
                return None;
            }
        }
        *self.names.get_mut(self.open)? = Name { start: u32::try_from(start).ok()?, length, beginning };
        self.open += 1;
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.take(b'[')?;
        self.skip_spaces();
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            self.value(depth)?;
            self.items = self.items.checked_sub(1)?;
            self.skip_spaces();
            if self.take(b',').is_none() {
                return self.take(b']');
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
                self.array(depth)?;
                Some(Scanned::Array(&self.text[start..self.at]))
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

    /// A string's contents. Escapes have been ruled out: the next quotation mark ends it.
    fn string(&mut self) -> Option<&'t str> {
        self.take(b'"')?;
        let start = self.at;
        let length = find_quote(&self.text.as_bytes()[start..])?;
        self.at = start + length + 1;
        Some(&self.text[start..start + length])
    }

    /// RFC 8259 §6, without exponents.
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

/// The first bytes of a text as a number: eight, or `length` and zeros where that is fewer.
fn beginning(text: &[u8], length: usize) -> u64 {
    match text.first_chunk::<8>() {
        Some(word) if length < 8 => u64::from_le_bytes(*word) & !(u64::MAX << (8 * length)),
        Some(word) => u64::from_le_bytes(*word),
        // So near the end of the text: the same number, byte by byte.
        None => {
            let bytes = text.iter().take(length).enumerate();
            bytes.fold(0, |word, (index, byte)| word | u64::from(*byte) << (8 * index))
        }
    }
}

/// Where the first quotation mark is, eight bytes at a time.
fn find_quote(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const QUOTES: u64 = ONES * b'"' as u64;
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // A byte that is a quotation mark is zero now; the lowest zero byte is the lowest with its
        // high bit set after this, and what a borrow sets is above it.
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

    use super::*;
    use crate::json::parse_object;

    fn is_taken(text: &str) -> bool {
        scan_object(text, &Limits::DEFAULT, |_, _| ()).is_some()
    }

    #[test]
    fn a_name_that_comes_twice_is_seen_wherever_it_stands() {
        for length in 0..=40 {
            let name = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop"[..length].to_owned();
            for value in ["1", "\"\"", "{}", "\"a longer value, so that the text does not end here\""] {
                let twice = format!(r#"{{"{name}":0,"x y":[{value}],"{name}":{value}}}"#);
                assert!(!is_taken(&twice), "{twice}");
                let within = format!(r#"{{"z":{{"{name}":0,"{name}":{value}}}}}"#);
                assert!(!is_taken(&within), "{within}");
                let longer = format!(r#"{{"{name}":0,"{name}!":{value}}}"#);
                assert!(is_taken(&longer), "{longer}");
                let apart = format!(r#"{{"{name}":{{"{name}":{value}}},"q":[{{"{name}":1}}]}}"#);
                assert!(name == "q" || is_taken(&apart), "{apart}");
            }
        }
    }

    #[test]
    fn a_quotation_mark_is_found_wherever_it_is() {
        for length in 0..40 {
            // Bytes beside the mark in value: a borrow must not take one for the other.
            for filler in ["#", "!", "\u{a2}", "a"] {
                let text = format!("{}\"#\"", filler.repeat(length));
                assert_eq!(find_quote(text.as_bytes()), text.find('"'), "{text}");
                assert_eq!(find_quote(filler.repeat(length).as_bytes()), None);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// What is taken is what the strict parse takes, and each member is told as it is there.
        #[test]
        fn what_is_taken_the_strict_parse_takes(
            text in r#"\{("(a|b|ab|aud|exp|)" ?: ?("x?"|-?[01]{0,3}(\.[0-9]?)?|null|true|\[("a"|1|,|\[|\]| ){0,4}\]|\{("a":1)?(,"a":1)?\}),?){0,4}\}"#,
        ) {
            let mut told = Vec::new();
            if scan_object(&text, &Limits::DEFAULT, |name, value| told.push((name, value))).is_some() {
                let members = parse_object(text.as_bytes(), &Limits::DEFAULT);
                prop_assert!(members.is_ok(), "{}", text);
                let members = members.expect("as was just seen");
                prop_assert_eq!(told.len(), members.len());
                for (name, value) in told {
                    let there = &members[name];
                    let same = match value {
                        Scanned::Text(text) => there.as_str() == Some(text),
                        Scanned::Integer(number) => there.as_u64() == Some(number),
                        Scanned::Array(text) | Scanned::Object(text) => {
                            serde_json::from_str::<serde_json::Value>(text).ok().as_ref() == Some(there)
                        }
                        Scanned::Null => there.is_null(),
                        Scanned::Other => there.is_boolean() || there.is_number(),
                    };
                    prop_assert!(same, "{} is {} in {}", name, there, text);
                }
            }
        }
    }
}
