//! Colours, and how well text of one can be read on another (WCAG 2.2).

use std::fmt;

/// The least contrast of text and its ground (WCAG 2.2, success criterion 1.4.3).
pub const LEGIBLE: f64 = 4.5;

/// The steps from a colour to black or white.
const STEPS: u16 = 40;

/// A colour of sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub [u8; 3]);

impl Color {
    /// Black.
    pub const BLACK: Self = Self([0; 3]);
    /// White.
    pub const WHITE: Self = Self([255; 3]);

    /// Parses `#rrggbb`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// Returns the contrast of two colours, from 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// Returns the relative luminance, from 0 to 1.
    fn luminance(self) -> f64 {
        let linear = |part: u8| match f64::from(part) / 255.0 {
            low if low <= 0.040_45 => low / 12.92,
            part => ((part + 0.055) / 1.055).powf(2.4),
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Returns the colour of text on this one: white if it can be read, else black. One of the two always can.
    #[must_use]
    pub fn text_on(self) -> Self {
        if self.contrast(Self::WHITE) >= LEGIBLE { Self::WHITE } else { Self::BLACK }
    }

    /// Returns this colour as text on a ground: darker or lighter, as far as is needed to read it.
    #[must_use]
    pub fn legible_on(self, ground: Self) -> Self {
        let end = ground.text_on();
        let mixed = (0..=STEPS).map(|step| self.mixed(end, step));
        mixed.into_iter().find(|color| color.contrast(ground) >= LEGIBLE).unwrap_or(end)
    }

    /// Returns the colour that is so many steps nearer to another.
    fn mixed(self, other: Self, step: u16) -> Self {
        let part = |index: usize| {
            let (from, to) = (u16::from(self.0[index]), u16::from(other.0[index]));
            u8::try_from((from * (STEPS - step) + to * step) / STEPS).unwrap_or(u8::MAX)
        };
        Self([part(0), part(1), part(2)])
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn color(text: &str) -> Color {
        Color::parse(text).expect(text)
    }

    #[test]
    fn a_color_is_six_hexadecimal_digits() {
        assert_eq!(Color::parse("#0A84ff"), Some(Color([0x0a, 0x84, 0xff])));
        assert_eq!(color("#0A84ff").to_string(), "#0a84ff");
        for text in ["", "#fff", "0a84ff", "#0a84fg", "#0a84ff0", "#+a84ff", "red", "#ü84ff"] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }

    #[test]
    fn contrast_is_that_of_the_web_content_accessibility_guidelines() {
        let near = |a: f64, b: f64| (a - b).abs() < 0.01;
        assert!(near(Color::BLACK.contrast(Color::WHITE), 21.0));
        assert!(near(Color::WHITE.contrast(Color::WHITE), 1.0));
        // The greys on white that the guidelines' readers know: the last that passes, and the first that fails.
        assert!(near(color("#767676").contrast(Color::WHITE), 4.54));
        assert!(near(color("#777777").contrast(Color::WHITE), 4.48));
    }

    #[test]
    fn every_color_has_legible_text_and_is_made_legible() {
        let dark = color("#181c22");
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let one = Color([red, green, blue]);
                    assert!(one.contrast(one.text_on()) >= LEGIBLE, "{one}");
                    for ground in [Color::WHITE, dark] {
                        assert!(one.legible_on(ground).contrast(ground) >= LEGIBLE, "{one} on {ground}");
                    }
                }
            }
        }
        assert_eq!(
            color("#1f5fbf").legible_on(Color::WHITE),
            color("#1f5fbf"),
            "it stays where it can be read"
        );
    }
}
