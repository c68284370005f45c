//! `[pages]`: the organisation's name, logo and colour on the pages for people.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::checked::{Logo, Pages};
use super::color::{Color, LEGIBLE};
use super::files::FileContent;
use super::raw;
use super::section::{Faulty, Section};

/// Most bytes of a logo.
const MAX_LOGO: usize = 256 * 1024;
/// Most characters of the name.
const MAX_NAME: usize = 100;
/// The first bytes of every PNG file (ISO/IEC 15948 §5.2).
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Resolves the table; every fault in it is recorded.
pub(super) fn resolve(section: &Section<'_>, raw: raw::Pages) -> Result<Pages, Faulty> {
    let name = raw.name.map(|name| self::name(section, name)).transpose();
    let logo = raw.logo_file.map(|file| logo(section, &file)).transpose();
    let accent = raw.accent_color.map(|text| accent(section, &text)).transpose();
    Ok(Pages { name: name?, logo: logo?, accent: accent? })
}

fn name(section: &Section<'_>, name: String) -> Result<String, Faulty> {
    let name = section.required("name", Some(name), "the organisation's name, such as \"Example Ltd\"")?;
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        let reason = format!("must have at most {MAX_NAME} characters, on one line");
        return Err(section.fault("name", reason));
    }
    Ok(name)
}

fn logo(section: &Section<'_>, file: &Path) -> Result<Logo, Faulty> {
    let path = section.file("logo_file", file, FileContent::Image);
    let fault = |reason: String| section.fault("logo_file", format!("{}: {reason}", path.display()));
    // Opening a FIFO would wait for its writer.
    let is_file = std::fs::metadata(&path).map_err(|error| fault(error.to_string()))?.is_file();
    if !is_file {
        return Err(fault("is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_LOGO).unwrap_or(u64::MAX);
    let read = File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|error| fault(error.to_string()))?;
    if bytes.len() > MAX_LOGO {
        return Err(fault(format!("has more than {} KiB; a logo is shown 48 pixels high", MAX_LOGO / 1024)));
    }
    match content_type(&bytes) {
        Some(content_type) => Ok(Logo { content_type, bytes: Arc::from(bytes) }),
        None => Err(fault("is neither PNG nor SVG".to_owned())),
    }
}

/// Returns the content type of an image, by what is in it.
fn content_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(PNG) {
        return Some("image/png");
    }
    let mut text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
    // The declaration, the document type and comments come before the root element.
    loop {
        let end = match text {
            _ if text.starts_with("<?") => "?>",
            _ if text.starts_with("<!--") => "-->",
            _ if text.starts_with("<!DOCTYPE") => ">",
            _ => break,
        };
        text = text.split_once(end)?.1.trim_start();
    }
    let root = text.strip_prefix("<svg")?;
    root.starts_with([' ', '\t', '\r', '\n', '>', '/']).then_some("image/svg+xml")
}

/// Parses the colour. It stays as it is where it is a ground: of black and white text one can always be read on it.
/// As text it is made darker or lighter on a page where it could not be read.
fn accent(section: &Section<'_>, text: &str) -> Result<Color, Faulty> {
    let color = Color::parse(text).ok_or_else(|| {
        let reason = (format!("`{text}` is no colour"), "write six hexadecimal digits, such as \"#1f5fbf\"");
        section.fault("accent_color", reason)
    })?;
    for (page, ground) in [("light", Pages::LIGHT), ("dark", Pages::DARK)] {
        let contrast = color.contrast(ground);
        if contrast < LEGIBLE {
            section.note(
                "accent_color",
                format!(
                    "`{color}` has a contrast of {contrast:.1} with the {page} page, and text needs {LEGIBLE}: links are \
                     `{}` there, buttons stay `{color}`",
                    color.legible_on(ground)
                ),
            );
        }
    }
    Ok(color)
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn an_image_is_known_by_its_content() {
        for (bytes, found) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], Some("image/png")),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Some("image/svg+xml")),
            (
                b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a > b -->\n<!DOCTYPE svg>\n<svg\n>",
                Some("image/svg+xml"),
            ),
            (b"<html><svg></svg></html>", None),
            (b"<svgs/>", None),
            (b"<!-- <svg>", None),
            (b"GIF89a", None),
            (b"\xff\xd8\xff\xe0", None),
            (b"", None),
        ] {
            assert_eq!(content_type(bytes), found, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
