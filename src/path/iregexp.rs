//! I-Regexp (RFC 9485) by the linear-time `regex` crate.

use regex::{Regex, RegexBuilder};

/// The maximum size of a compiled expression of a path, in bytes.
const COMPILED_BYTES: usize = 1 << 20;
/// The maximum size of one from a document, in bytes: it is compiled at evaluation, and up to here the worst
/// pattern found costs a quarter of a microsecond for each byte it reads; beyond, a thousand times that.
const FOREIGN_BYTES: usize = 1 << 17;
/// The cost of each byte that a larger pattern reads, in nodes: a path reads 25,000 bytes at most by such patterns.
const LARGE_COST: usize = 4;

/// A pattern of a path, compiled.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) regex: Regex,
    /// Whether it is larger than one from a document may be: each byte that it reads can cost as much as a thousand others.
    is_large: bool,
}

impl Compiled {
    /// Compiles a pattern as [`compile`] does.
    pub(super) fn new(pattern: &str, whole: bool) -> Option<Self> {
        let small = compile_foreign(pattern, whole).map(|regex| Self { regex, is_large: false });
        small.or_else(|| compile(pattern, whole).map(|regex| Self { regex, is_large: true }))
    }

    /// Returns the cost of a match against a text, in nodes.
    pub(super) fn cost(&self, text: &str) -> usize {
        1 + if self.is_large { text.len().saturating_mul(LARGE_COST) } else { text.len() / 64 }
    }
}

/// Compiles a pattern. Returns `None` if it is not an I-Regexp or too large. `whole` anchors it.
pub(super) fn compile(pattern: &str, whole: bool) -> Option<Regex> {
    build(pattern, whole, COMPILED_BYTES)
}

/// Compiles a pattern from a document.
pub(super) fn compile_foreign(pattern: &str, whole: bool) -> Option<Regex> {
    build(pattern, whole, FOREIGN_BYTES)
}

fn build(pattern: &str, whole: bool, bytes: usize) -> Option<Regex> {
    let translated = translate(pattern)?;
    let anchored = if whole { format!(r"\A(?:{translated})\z") } else { translated };
    RegexBuilder::new(&anchored).size_limit(bytes).build().ok()
}

/// Rewrites what the `regex` crate reads differently: `.` leaves out CR beside LF (RFC 9485 §5.3),
/// set operations inside a class are plain characters, and `(?…)` or `\d` and the like do not exist.
fn translate(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let escaped = characters.next()?;
                let property = matches!(escaped, 'p' | 'P') && characters.peek() == Some(&'{');
                if !property && !r"()*+-.?[\]^$nrt{|}".contains(escaped) {
                    return None;
                }
                out.extend(['\\', escaped]);
            }
            '.' if !in_class => out.push_str(r"[^\n\r]"),
            '(' if !in_class && characters.peek() == Some(&'?') => return None,
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => out.extend(['\\', character]),
            '-' if in_class && out.ends_with('-') => out.push_str(r"\-"),
            _ => out.push(character),
        }
    }
    (!in_class).then_some(out)
}
