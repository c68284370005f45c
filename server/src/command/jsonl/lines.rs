//! Reading lines in bounded memory.

use std::io::{self, BufRead};

use claimgate::json::{self, JsonError};
use claimgate::limits::Limits;

use super::{Malformed, Members};

/// Maximum length of a line, in bytes. A longer one is skipped to its end and answered as malformed.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// Maximum number of lines, and of their bytes, held at once.
const CHUNK_LINES: usize = 2_048;
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

/// Limits of a line's JSON: a line holds more than a token, such as a key set or a document to query.
pub(super) const LINE_LIMITS: Limits = Limits { json_depth: 100, json_items: 2_000_000, ..Limits::DEFAULT };

/// One line of the input.
pub(super) struct Line {
    /// The line's number, from 1.
    pub(super) number: u64,
    /// `None` if the line is longer than [`MAX_LINE`].
    text: Option<Vec<u8>>,
}

impl Line {
    /// Parses the line as a JSON object.
    pub(super) fn parse(&self) -> Result<Members, Malformed> {
        let Some(text) = &self.text else {
            return Err(Malformed::new("input.line_too_long", format!("longer than {MAX_LINE} bytes")));
        };
        let text = if self.number == 1 { json::without_byte_order_mark(text) } else { text };
        json::parse_object(text, &LINE_LIMITS).map_err(|error| match error {
            JsonError::DuplicateMember { .. } => {
                Malformed::new("input.duplicate", format!("the line {error}"))
            }
            error => Malformed::new("input.json", format!("the line {error}")),
        })
    }
}

/// Consecutive lines.
pub(super) struct Chunk {
    pub(super) lines: Vec<Line>,
    /// Whether the input has ended.
    pub(super) is_last: bool,
}

/// The lines of an input.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: u64,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn BufRead + Send>) -> Self {
        Self { reader, number: 0 }
    }

    /// Reads the next chunk. Blank lines are skipped.
    pub(super) fn chunk(&mut self) -> io::Result<Chunk> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while lines.len() < CHUNK_LINES && bytes < CHUNK_BYTES {
            let Some(text) = self.next()? else { return Ok(Chunk { lines, is_last: true }) };
            self.number += 1;
            if text.as_ref().is_some_and(|text| text.trim_ascii().is_empty()) {
                continue;
            }
            bytes += text.as_ref().map_or(0, Vec::len);
            lines.push(Line { number: self.number, text });
        }
        Ok(Chunk { lines, is_last: false })
    }

    /// Reads the next line. Returns `None` at the end, `Some(None)` for a line that is too long.
    fn next(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        let (mut line, mut too_long, mut started) = (Vec::new(), false, false);
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                return Ok(started.then_some((!too_long).then_some(line)));
            }
            started = true;
            let (part, end) = match available.iter().position(|byte| *byte == b'\n') {
                Some(at) => (&available[..at], Some(at + 1)),
                None => (available, None),
            };
            too_long |= line.len() + part.len() > MAX_LINE;
            if too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(part);
            }
            let used = end.unwrap_or(available.len());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some((!too_long).then_some(line)));
            }
        }
    }
}
