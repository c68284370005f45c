//! One pass over an ordinary JSON object, borrowing and allocating nothing.
//!
//! It takes what tokens are nearly always like: no escapes, no control characters, integers and
//! short decimals, not too many names at a time. Anything else, and anything that is wrong, is
//! `None`: [`parse_object`](super::parse_object) then judges. So a text that is taken here must be
//! one that it takes as well, with the same members; the fuzz target `claims` compares.

use memchr::memchr;

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
    let mut scanner = Scanner { text, at: 0, items: limits.json_items, names: [(0, 0); NAMES], open: 0 };
    scanner.skip_spaces();
    scanner.object(limits.json_depth.min(SERDE_JSON_DEPTH), &mut member)?;
    scanner.skip_spaces();
    (scanner.at == text.len()).then_some(())
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// How many more members and elements there may be.
    items: usize,
    /// Where the names in each object that is open stand, the innermost's last.
    names: [(u32, u32); NAMES],
    open: usize,
}

impl<'t> Scanner<'t> {
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
        for (start, length) in &self.names[outer..self.open] {
            let is_as_long = *length as usize == name.len();
            if is_as_long && self.text.as_bytes()[*start as usize..].starts_with(name.as_bytes()) {
                return None;
            }
        }
        *self.names.get_mut(self.open)? = (u32::try_from(start).ok()?, u32::try_from(name.len()).ok()?);
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
        let length = memchr(b'"', &self.text.as_bytes()[start..])?;
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
