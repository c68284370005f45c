//! Tables, for the terminal and for the document.

use std::fmt::Write as _;

use crate::Outcome;
use crate::bars::Bar;
use crate::environment::Environment;
use crate::measure::Row;

const BATCH: &str = "Claimgate, batches of 64";

/// A table of columns that line up as text and hold as Markdown.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cell = |(index, text): (usize, &str)| {
            let blank = " ".repeat(widths[index] - text.chars().count());
            if index == 0 { format!("{text}{blank}") } else { format!("{blank}{text}") }
        };
        format!("| {} |\n", cells.into_iter().enumerate().map(cell).collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(index, width)| if index == 0 { "-".repeat(*width) } else { "-".repeat(width - 1) + ":" })
        .collect();
    let mut text = line(head.to_vec());
    text += &line(rule.iter().map(String::as_str).collect());
    rows.iter().for_each(|row| text += &line(row.iter().map(String::as_str).collect()));
    text
}

/// A table for each piece of work.
pub fn tables(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let title = match outcome.bytes {
            Some(bytes) => format!("{}, {bytes} bytes", outcome.title),
            None => format!("`{}`", outcome.title),
        };
        writeln!(text, "\n### {title}\n").expect("a string takes everything");
        text += &outcome_table(outcome);
    }
    text
}

fn outcome_table(outcome: &Outcome) -> String {
    let (Some(single), batch) = (outcome.row("Claimgate"), outcome.row(BATCH)) else {
        return String::new();
    };
    let ratio = |row: &Row, own: &Row| format!("{:.2}", row.over(own));
    let mut head = vec!["", "time", "÷ Claimgate"];
    head.extend(batch.map(|_| "÷ its batches of 64"));
    let cells = |row: &Row| {
        let mut cells = vec![row.name.clone(), duration(row.median()), ratio(row, single)];
        cells.extend(batch.map(|batch| ratio(row, batch)));
        cells
    };
    table(&head, &outcome.rows.iter().map(cells).collect::<Vec<_>>())
}

/// Nanoseconds for people.
pub fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000.0 => format!("{:.2} µs", ns / 1_000.0),
        ns => format!("{:.1} µs", ns / 1_000.0),
    }
}

/// The bars, met and missed.
pub fn bars(bars: &[Bar]) -> String {
    let row = |bar: &Bar| {
        let verdict = if bar.is_met() { "met" } else { "missed" };
        vec![bar.work.to_owned(), bar.against.clone(), bar.wanted(), bar.got(), verdict.to_owned()]
    };
    table(&["Claimgate at", "beside", "bar", "reached", ""], &bars.iter().map(row).collect::<Vec<_>>())
}

/// Where and with what.
pub fn environment(environment: &Environment) -> String {
    let kernel = if environment.avx512_ifma {
        "AVX-512 IFMA present: RS256 by Claimgate's kernel"
    } else {
        "no AVX-512 IFMA: RS256 by ring"
    };
    let crates: Vec<_> =
        environment.crates.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "{}; {}; {kernel}; {}; revision {}; load average {} before, {} after.\n{}.\n",
        environment.date,
        environment.cpu,
        environment.rustc,
        environment.revision,
        environment.load.0,
        environment.load.1,
        crates.join(", ")
    )
}

/// The whole document.
pub fn document(environment: &Environment, bars: &[Bar], outcomes: &[Outcome]) -> String {
    format!(
        "# Claimgate and its peers\n\n\
         Written by `benches/peers/run`; do not edit. {}\n\
         Every contender takes its turn in every round, over tokens that all differ. Times are CPU time, the median\n\
         per token (or per path); a ratio is the median of the rounds' ratios, over 1 where Claimgate is faster.\n\
         Each verifies the signature and checks `iss`, `aud` and `exp` against the clock; before it is timed it must\n\
         refuse a forged, an expired and a foreign token. The `raw` rows do the cryptography alone.\n\
         josekit and biscuit run in a process of their own, which takes its turns like the others.\n\n\
         ![Times beside one another](peers.svg)\n\n## Bars\n\n{}\n## Times\n{}",
        self::environment(environment),
        self::bars(bars),
        tables(outcomes)
    )
}
