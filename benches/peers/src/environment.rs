//! Where and with what it was measured.

use std::process::Command;

pub struct Environment {
    pub date: String,
    pub cpu: String,
    /// Whether Claimgate's RSA kernel can run here.
    pub avx512_ifma: bool,
    pub rustc: String,
    /// Claimgate's commit, and whether the sources differ from it.
    pub revision: String,
    /// Name and version of every crate that was measured.
    pub crates: Vec<(&'static str, String)>,
    /// Load averages over a minute, before and after: what else the machine did.
    pub load: (String, String),
}

const CRATES: [&str; 14] = [
    "claimgate",
    "ring",
    "jsonwebtoken",
    "aws-lc-rs",
    "rsa",
    "jwt-simple",
    "boring",
    "josekit",
    "openssl",
    "biscuit",
    "hmac",
    "serde_json",
    "jsonpath-rust",
    "serde_json_path",
];

impl Environment {
    pub fn now(load_before: String) -> Self {
        Self {
            date: said("date", &["-u", "+%F"]),
            cpu: cpu(),
            avx512_ifma: avx512_ifma(),
            rustc: said("rustc", &["--version"]),
            revision: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]),
            crates: CRATES.into_iter().map(|name| (name, versions(name))).collect(),
            load: (load_before, load()),
        }
    }
}

/// The load average over the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

/// All versions of a crate in this package's lock file, the highest first.
fn versions(name: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let packages =
        lock.split("[[package]]").filter(|package| package.contains(&format!("name = \"{name}\"\n")));
    let mut versions: Vec<&str> =
        packages.filter_map(|package| package.split("version = \"").nth(1)?.split('"').next()).collect();
    versions.reverse();
    versions.join(" and ")
}

fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split(": ").nth(1).map(str::to_owned)
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let numbers = [("family", "cpu family"), ("model", "model\t")]
        .map(|(label, name)| field(name).map(|number| format!(", {label} {number}")).unwrap_or_default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}{}, {cores} cores", numbers.concat())
}

fn avx512_ifma() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| format!("{program}: not here"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
