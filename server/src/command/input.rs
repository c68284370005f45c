//! Arguments, files and standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::command::output::Failure;

/// Maximum size of a document, except for JSON lines, in bytes.
const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;

/// Opens a file, or standard input for `-`.
pub(crate) fn open(name: &str) -> Result<Box<dyn BufRead + Send>, Failure> {
    if name == "-" {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(name).map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
}

/// Reads all of a file, or of standard input for `-`.
pub(crate) fn read(name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = open(name)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(Failure::Usage(format!("{name} is larger than 64 MiB, the maximum")));
    }
    Ok(bytes)
}

/// Returns the token given as an argument, or on standard input for `-` without its line end.
pub(crate) fn token(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        if Path::new(argument).is_file() {
            return Err(Failure::Usage(format!(
                "{argument} is a file, not a token; give - and the file on standard input (< {argument})"
            )));
        }
        return Ok(argument.to_owned());
    }
    let bytes = read("-")?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::Refused {
        code: "jws.base64url",
        message: "the token is not text".to_owned(),
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
