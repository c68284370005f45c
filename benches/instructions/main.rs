//! The regression gate: instruction counts of the hot paths, compared with a committed baseline.
//!
//! ```sh
//! cargo bench --features client-assertion --bench instructions               # count and compare; fails over +3 %
//! cargo bench --features client-assertion --bench instructions -- --renew    # count and write the baseline
//! ```
//!
//! valgrind's callgrind counts the instructions. It presents the same CPU on every machine with AVX2 (no
//! AVX-512, no SHA extensions, so RS256 goes through ring): counts repeat where times do not. They are
//! compared only if compiler, C library, valgrind and that CPU are those of the baseline; otherwise they
//! are printed, and the baseline must be renewed.

mod work;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Growth over this fraction of the baseline fails; a decrease over it asks for a new baseline.
const TOLERANCE: f64 = 0.03;
/// Executions before the count begins, in which caches fill and hash maps grow.
const WARM_UP: u32 = 64;
/// Executions that are counted.
const COUNTED: u32 = 128;
/// The row of RS256 without ring's share, which would hide growth in this crate.
const BESIDE_RING: &str = "RS256 ID token, all but ring";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] | ["--check"] => check(),
        ["--renew"] => renew(),
        ["--test"] => {
            work::ALL.iter().for_each(|(_, prepare)| prepare()());
            ExitCode::SUCCESS
        }
        ["--work", index] => {
            execute(index.parse().expect("an index"));
            ExitCode::SUCCESS
        }
        ["--cpu"] => {
            println!("{}", cpu());
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("{other:?}: one of --check, --renew, --test");
            ExitCode::from(2)
        }
    }
}

/// Executes a work in the child process, under callgrind.
fn execute(index: usize) {
    let mut work = work::ALL[index].1();
    (0..WARM_UP).for_each(|_| work());
    counted_region(&mut work);
}

/// Executes what callgrind counts, which knows this function by its name.
#[inline(never)]
fn counted_region(work: &mut work::Work) {
    (0..COUNTED).for_each(|_| work());
}

fn check() -> ExitCode {
    let Some(baseline) = Counts::read(&baseline_file()) else {
        eprintln!("no baseline in {}: make one with --renew", baseline_file().display());
        return ExitCode::FAILURE;
    };
    let now = Counts::measure();
    let comparable = now.environment == baseline.environment;
    println!("{:<36} {:>12} {:>12} {:>8}", "instructions", "baseline", "now", "change");
    let (mut worse, mut better) = (Vec::new(), Vec::new());
    for (name, count) in &now.counts {
        let Some(before) = baseline.counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count)
        else {
            println!("{name:<36} {:>12} {count:>12} {:>8}", "none", "new");
            worse.push(format!("{name} has no baseline"));
            continue;
        };
        let change = *count as f64 / before as f64 - 1.0;
        println!("{name:<36} {before:>12} {count:>12} {:>+7.2}%", change * 100.0);
        if change > TOLERANCE {
            worse.push(format!("{name} takes {:.1} % more instructions", change * 100.0));
        } else if change < -TOLERANCE {
            better.push(name.as_str());
        }
    }
    for (name, _) in baseline.counts.iter().filter(|(name, _)| !now.counts.iter().any(|(n, _)| n == name)) {
        worse.push(format!("{name} is in the baseline and no longer counted"));
    }
    if !comparable {
        println!("NOT COMPARED: the baseline is of another environment; renew it with --renew.");
        println!("  baseline: {}\n  now:      {}", baseline.environment, now.environment);
        return ExitCode::SUCCESS;
    }
    if !better.is_empty() {
        println!("Over 3 % better: {}. Renew the baseline with --renew.", better.join("; "));
    }
    if worse.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!(
        "FAILED (tolerance 3 %): {}. If it must be so, --renew and say why in the commit.",
        worse.join("; ")
    );
    ExitCode::FAILURE
}

fn renew() -> ExitCode {
    let counts = Counts::measure();
    print!("{}", counts.text());
    std::fs::write(baseline_file(), counts.text()).expect("the baseline can be written");
    ExitCode::SUCCESS
}

fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.txt")
}

/// Instruction counts by work, and the environment they were counted in.
struct Counts {
    environment: String,
    counts: Vec<(String, u64)>,
}

impl Counts {
    fn measure() -> Self {
        let mut counts: Vec<_> =
            work::ALL.iter().enumerate().map(|(index, (name, _))| (name.to_string(), count(index))).collect();
        let by_name: BTreeMap<_, _> = counts.iter().cloned().collect();
        counts.push((BESIDE_RING.to_owned(), by_name[work::RS256] - by_name[work::RING]));
        Self { environment: environment(), counts }
    }

    fn read(file: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(file).ok()?;
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let environment = lines.next()?.to_owned();
        let counts = lines.map(|line| {
            let (count, name) = line.split_once(' ').expect("a count and a name");
            (name.to_owned(), count.parse().expect("a count"))
        });
        Some(Self { environment, counts: counts.collect() })
    }

    fn text(&self) -> String {
        let mut text = "# Instructions of one execution. Written by `cargo bench --features client-assertion --bench instructions -- --renew`.\n".to_owned();
        writeln!(text, "{}", self.environment).expect("writing to a string succeeds");
        for (name, count) in &self.counts {
            writeln!(text, "{count} {name}").expect("writing to a string succeeds");
        }
        text
    }
}

/// Returns the instructions of one execution of a work.
fn count(index: usize) -> u64 {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{index}"));
    let options = [
        "--tool=callgrind".to_owned(),
        "--collect-atstart=no".to_owned(),
        "--toggle-collect=*counted_region*".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
    ];
    valgrind(&options, &["--work", &index.to_string()]);
    let text = std::fs::read_to_string(&out).expect("callgrind writes its file");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a line of totals");
    let total: u64 = total.trim().parse().expect("one number, the instructions");
    assert!(total > 0, "callgrind did not see counted_region");
    total / u64::from(COUNTED)
}

/// Runs a copy of this program under valgrind and returns its output. The copy has a fixed name and an
/// empty environment, because the length of both moves data in memory.
fn valgrind(options: &[String], arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = std::env::current_exe().expect("this program");
    std::fs::copy(program, folder.join("counted")).expect("the folder is cargo's, for this");
    let mut command = Command::new("valgrind");
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(folder);
    command.args(options).arg("./counted").args(arguments);
    let output = command.output().expect("valgrind is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Returns the versions and CPU features that decide which instructions run.
fn environment() -> String {
    let version = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        output.map_or_else(
            |error| format!("{program}: {error}"),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    [
        version("rustc", "--version"),
        version("valgrind", "--version"),
        version("getconf", "GNU_LIBC_VERSION"),
        valgrind(&["--tool=none".to_owned()], &["--cpu"]),
    ]
    .join("; ")
}

/// Returns the CPU features by which the C library and the dependencies choose their code.
#[cfg(target_arch = "x86_64")]
fn cpu() -> String {
    macro_rules! seen {
        ($($feature:tt)*) => {
            [$(($feature, is_x86_feature_detected!($feature))),*]
        };
    }
    let features = seen!("sse4.1" "sse4.2" "pclmulqdq" "aes" "avx" "avx2" "bmi1" "bmi2" "adx" "fma" "sha" "avx512f" "avx512ifma");
    let present: Vec<_> =
        features.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect();
    format!("x86_64 {}", present.join(" "))
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu() -> String {
    std::env::consts::ARCH.to_owned()
}
