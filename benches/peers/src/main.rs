//! Claimgate and its peers, side by side: who verifies a token, who evaluates a claim path, how fast.
//!
//! Every contender takes its turn in every round, over tokens that all differ. What is printed and
//! written is medians, and medians of the ratios within a round. `README.md` has the one command.

mod bars;
mod contenders;
mod environment;
mod measure;
mod report;
mod svg;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use contenders::Elsewhere;
use measure::{Contender, Effort, Row};
use tokens::{Kind, Tokens};

/// What was measured at one piece of work.
pub struct Outcome {
    /// Such as `RS256 2048, logout token`.
    pub title: String,
    /// The length of a token in bytes; of a path, none.
    pub bytes: Option<usize>,
    pub rows: Vec<Row>,
}

impl Outcome {
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

const USAGE: &str = "benches/peers/run [--quick] [--bars] [--assert-bars] [--out FOLDER]
  --quick         a smoke run: few rounds, short turns; writes nothing unless --out is given
  --bars          print the bars alone, not the tables
  --assert-bars   fail where a bar is missed
  --out FOLDER    where peers.md and peers.svg go; docs/generated/benchmarks by default";

struct Arguments {
    quick: bool,
    bars_alone: bool,
    assert_bars: bool,
    out: Option<PathBuf>,
}

fn arguments() -> Option<Arguments> {
    let mut found = Arguments { quick: false, bars_alone: false, assert_bars: false, out: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => found.quick = true,
            "--bars" => found.bars_alone = true,
            "--assert-bars" => found.assert_bars = true,
            "--out" => found.out = Some(words.next()?.into()),
            _ => return None,
        }
    }
    if !found.quick && found.out.is_none() {
        found.out = Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/generated/benchmarks")));
    }
    Some(found)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let program = std::env::current_exe().expect("this program").with_file_name("claimgate-peers-ordered");
    let elsewhere = match Elsewhere::start(&program) {
        Ok(elsewhere) => elsewhere,
        Err(error) => {
            eprintln!("{}: {error}; benches/peers/run builds it", program.display());
            return ExitCode::FAILURE;
        }
    };
    let before = environment::load();
    let outcomes = measure_all(&elsewhere, arguments.quick);
    let environment = environment::Environment::now(before);
    let bars = bars::judge(&outcomes);

    if !arguments.bars_alone {
        print!("{}", report::tables(&outcomes));
    }
    print!("\n{}\n{}", report::environment(&environment), report::bars(&bars));
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).expect("the folder can be made");
        let markdown = report::document(&environment, &bars, &outcomes);
        std::fs::write(folder.join("peers.md"), markdown).expect("peers.md can be written");
        std::fs::write(folder.join("peers.svg"), svg::draw(&environment, &outcomes))
            .expect("peers.svg can be written");
    }
    let missed = bars.iter().any(|bar| !bar.is_met());
    if arguments.assert_bars && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure_all(elsewhere: &Elsewhere, quick: bool) -> Vec<Outcome> {
    let (effort, count) = if quick {
        (Effort { rounds: 9, turn: Duration::from_micros(300) }, 64)
    } else {
        (Effort { rounds: 41, turn: Duration::from_millis(3) }, 1024)
    };
    let mut outcomes = Vec::new();
    for (algorithm, rsa_bits) in [("RS256", 2048), ("RS256", 4096), ("HS256", 0), ("ES256", 0), ("EdDSA", 0)]
    {
        let key = tokens::key(algorithm, rsa_bits);
        // Signing with 4096 bits is slow.
        let count = if rsa_bits == 4096 { count / 2 } else { count };
        for kind in [Kind::Id, Kind::Logout] {
            let tokens = tokens::tokens(algorithm, rsa_bits, &key, kind, count);
            eprintln!("{}", tokens.title());
            let mut contenders = contenders::of(&tokens, elsewhere);
            contenders.iter_mut().for_each(|contender| examine(&mut **contender, &tokens));
            let rows = measure::interleaved(&mut contenders, effort);
            outcomes.push(Outcome { title: tokens.title(), bytes: Some(tokens.bytes()), rows });
        }
    }
    for path in contenders::PATHS {
        eprintln!("{path}");
        let rows = measure::interleaved(&mut contenders::path(path), effort);
        outcomes.push(Outcome { title: path.to_owned(), bytes: None, rows });
    }
    outcomes
}

/// Nobody is timed who does not do the work.
fn examine(contender: &mut dyn Contender, tokens: &Tokens) {
    let name = contender.name().to_owned();
    assert!(contender.accepts(&tokens.good[0]), "{name} refuses a good token");
    assert!(!contender.accepts(&tokens.forged), "{name} accepts a forged signature");
    if contender.judges_claims() {
        assert!(tokens.unacceptable.iter().all(|token| !contender.accepts(token)), "{name} judges no claims");
    }
}
