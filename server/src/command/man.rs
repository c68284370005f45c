//! `claimgate man`: a manual page for the command and each subcommand.
//!
//! `clap_mangen` renders what clap knows. The text after the options of `--help` becomes the sections that readers of
//! manual pages look for: paragraphs of the description, the exit codes, the examples as they are typed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::command::output::Failure;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate man /usr/local/share/man/man1\n\n\
    Writes claimgate.1 and a page for each subcommand, such as claimgate-config-check.1.")]
pub(crate) struct Arguments {
    /// The folder, which must exist; pages of the same names are replaced
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Arguments {
    pub(crate) fn run(self, parser: clap::Command) -> Result<(), Failure> {
        let mut parser = parser.disable_help_subcommand(true);
        parser.build();
        write_pages(&parser, &self.folder)
            .map_err(|error| Failure::Usage(format!("cannot write to {}: {error}", self.folder.display())))
    }
}

/// Writes the pages of a command and of its subcommands.
fn write_pages(command: &clap::Command, folder: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_pages(subcommand, folder)?;
    }
    let page = Man::new(command.clone()).source(concat!("claimgate ", env!("CARGO_PKG_VERSION")));
    let mut file = BufWriter::new(File::create(folder.join(page.get_filename()))?);
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    write_page(&page, command, &Text::of(&text), &mut file)?;
    file.flush()
}

fn write_page(page: &Man, command: &clap::Command, text: &Text<'_>, to: &mut dyn Write) -> io::Result<()> {
    page.render_title(to)?;
    page.render_name_section(to)?;
    page.render_synopsis_section(to)?;
    page.render_description_section(to)?;
    let mut roff = Roff::new();
    for paragraph in &text.prose {
        roff.control("PP", []);
        paragraph.add_to(&mut roff);
    }
    roff.to_writer(to)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        page.render_options_section(to)?;
    }
    if command.has_subcommands() {
        page.render_subcommands_section(to)?;
    }
    let mut roff = Roff::new();
    for (heading, paragraph) in [("EXIT STATUS", &text.exit_codes), ("EXAMPLES", &text.examples)] {
        if let Some(paragraph) = paragraph {
            roff.control("SH", [heading]);
            paragraph.add_to(&mut roff);
        }
    }
    roff.to_writer(to)?;
    if command.get_version().is_some() {
        page.render_version_section(to)?;
    }
    Ok(())
}

/// The text after the options of `--help`, by its parts.
#[derive(Default)]
struct Text<'t> {
    prose: Vec<Paragraph<'t>>,
    exit_codes: Option<Paragraph<'t>>,
    examples: Option<Paragraph<'t>>,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Paragraph<'t> {
    /// A line, which is filled.
    Filled(&'t str),
    /// Indented lines, which stay as they are.
    Literal(Vec<&'t str>),
}

impl<'t> Text<'t> {
    /// Reads a text: lines with two spaces at the beginning are literal, every other line is a paragraph.
    fn of(text: &'t str) -> Self {
        let mut found = Self::default();
        let mut is_example = false;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let Some(literal) = line.strip_prefix("  ") else {
                is_example = line == "Examples:" || line == "Example:";
                if let Some(codes) = line.strip_prefix("Exit codes: ") {
                    found.exit_codes = Some(Paragraph::Filled(codes));
                } else if !is_example {
                    found.prose.push(Paragraph::Filled(line));
                }
                continue;
            };
            let block = if is_example { found.examples.as_mut() } else { found.prose.last_mut() };
            match block {
                Some(Paragraph::Literal(lines)) => lines.push(literal),
                _ if is_example => found.examples = Some(Paragraph::Literal(vec![literal])),
                _ => found.prose.push(Paragraph::Literal(vec![literal])),
            }
        }
        found
    }
}

impl Paragraph<'_> {
    fn add_to(&self, roff: &mut Roff) {
        match self {
            Paragraph::Filled(line) => {
                roff.text([roman(*line)]);
            }
            Paragraph::Literal(lines) => {
                roff.control("nf", []);
                for line in lines {
                    roff.text([roman(*line)]);
                }
                roff.control("fi", []);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_paragraphs_exit_codes_and_examples() {
        let text = Text::of(
            "Examples:\n  claimgate a \\\n    --b\n  claimgate c\n\nOne line.\nAnother:\n\n  [[case]]\n  x = 1\n\nExit codes: 0 good.",
        );
        let Text { prose, exit_codes, examples } = text;
        assert_eq!(examples, Some(Paragraph::Literal(vec!["claimgate a \\", "  --b", "claimgate c"])));
        assert_eq!(exit_codes, Some(Paragraph::Filled("0 good.")));
        let literal = Paragraph::Literal(vec!["[[case]]", "x = 1"]);
        assert_eq!(prose, [Paragraph::Filled("One line."), Paragraph::Filled("Another:"), literal]);
    }
}
