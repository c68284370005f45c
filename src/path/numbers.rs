//! Number literals of any size. RFC 9535 §2.3.5.1 gives those of filters no range, while the parser refuses
//! integers beyond 2^53 - 1 everywhere; the range is that of indices and slices alone (§2.1). Each literal beyond it
//! is parsed here and replaced by a stand-in: a fraction that occurs nowhere else in the text, and that the parser
//! refuses as an index.

use std::borrow::Cow;

use regex::{Captures, Regex};
use serde_json::{Number, Value};

/// The greatest integer that the parser accepts.
const PARSED: u128 = (1 << 53) - 1;
/// The number of digits of [`PARSED`].
const DIGITS: usize = 16;

/// Strings and names, which are kept as they are, and number literals with their integer digits.
const TOKENS: &str = r#"(?x) "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [A-Za-z_\x{80}-\x{10FFFF}][A-Za-z0-9_\x{80}-\x{10FFFF}]*
    | (?<number> -? (?<integer>[0-9]+) (?:\.[0-9]+)? (?:[eE][+-]?[0-9]+)? )"#;

/// The values of the stand-ins in a rewritten path.
#[derive(Default)]
pub(super) struct StandIns(Vec<(f64, Value)>);

impl StandIns {
    /// Replaces the literals that the parser would refuse for their size.
    pub(super) fn insert(path: &str) -> (Cow<'_, str>, Self) {
        let mut stand_ins = Self::default();
        let digits = |run: &[u8]| run.iter().all(u8::is_ascii_digit);
        if !path.as_bytes().windows(DIGITS).any(digits) {
            return (Cow::Borrowed(path), stand_ins);
        }
        let tokens = Regex::new(TOKENS).expect("the pattern is constant");
        let numbers = tokens.captures_iter(path).filter_map(|token| Some(token.name("number")?.as_str()));
        let taken: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
        let free = |number: &f64| !taken.contains(number);
        let mut free = (0_u32..).map(|whole| f64::from(whole) + 0.5).filter(free);
        let text = tokens.replace_all(path, |token: &Captures<'_>| {
            let value = token.name("number").and_then(|number| {
                let integer = token["integer"].parse::<u128>().unwrap_or(u128::MAX);
                if integer > PARSED { parse(number.as_str()) } else { None }
            });
            match (value, free.next()) {
                (Some(value), Some(stand_in)) => {
                    stand_ins.0.push((stand_in, value));
                    stand_in.to_string()
                }
                _ => token[0].to_owned(),
            }
        });
        (text, stand_ins)
    }

    /// Returns the value of a fraction in the rewritten path: its own, unless it is a stand-in.
    pub(super) fn value(&self, number: f64) -> Value {
        let known = self.0.iter().find(|(stand_in, _)| *stand_in == number);
        known.map_or_else(|| finite(number), |(_, value)| value.clone())
    }
}

/// Parses a literal, exactly if it is an integer of 64 bits, else as a double.
fn parse(literal: &str) -> Option<Value> {
    // A leading zero is not JSON: the parser refuses it.
    if literal.trim_start_matches('-').starts_with('0') {
        return None;
    }
    let exact =
        literal.parse::<i64>().map(Number::from).or_else(|_| literal.parse::<u64>().map(Number::from));
    exact.map(Value::Number).ok().or_else(|| literal.parse().ok().map(finite))
}

/// Returns a double as a JSON number; one beyond the range of a double as the greatest, for large numbers may be
/// compared inexactly (RFC 9535 §2.3.5.2.2).
fn finite(number: f64) -> Value {
    number.clamp(f64::MIN, f64::MAX).into()
}
