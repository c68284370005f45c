//! Numbers with their nouns.

use std::fmt::Display;

/// Returns a number with its noun, such as "1 session" or "2 sessions".
pub(crate) fn count<N: Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let ending = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|number: u32| count(number, "link")), ["0 links", "1 link", "2 links"]);
    }
}
