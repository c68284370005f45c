//! The bars that Claimgate means to clear, and whether it did.

use crate::Outcome;
use crate::measure::Row;

pub struct Bar {
    pub work: &'static str,
    pub against: String,
    reached: f64,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    /// Claimgate is at least so many times as fast.
    Faster(f64),
    /// Claimgate takes at most so many times as long.
    Within(f64),
}

impl Bar {
    pub fn is_met(&self) -> bool {
        match self.limit {
            Limit::Faster(times) => self.reached >= times,
            Limit::Within(times) => self.reached <= times,
        }
    }

    pub fn wanted(&self) -> String {
        match self.limit {
            Limit::Faster(times) => format!("≥ {times} × as fast"),
            Limit::Within(times) if times < 2.0 => format!("≤ {:.0} % more time", (times - 1.0) * 100.0),
            Limit::Within(times) => format!("≤ {times} × the time"),
        }
    }

    pub fn got(&self) -> String {
        match self.limit {
            Limit::Within(times) if times < 2.0 => format!("{:+.1} %", (self.reached - 1.0) * 100.0),
            _ => format!("{:.2} ×", self.reached),
        }
    }
}

const BATCH: &str = "Claimgate, batches of 64";
/// jsonwebtoken at its fastest: into a struct.
const JSONWEBTOKEN: &str = "jsonwebtoken (aws-lc), to a struct";

/// Judges what was measured; a bar whose contenders were not measured is not there.
pub fn judge(outcomes: &[Outcome]) -> Vec<Bar> {
    let mut bars = Vec::new();
    let rs256 = "RS256 2048, logout token";
    let mut add = |work, case: &str, own: &str, against: &[&str], limit| {
        let bar = outcomes.iter().find(|outcome| outcome.title == case).and_then(|outcome| {
            let own = outcome.row(own)?;
            let peer = fastest(against.iter().filter_map(|name| outcome.row(name)))?;
            let reached = match limit {
                Limit::Faster(_) => peer.over(own),
                Limit::Within(_) => own.over(peer),
            };
            Some(Bar { work, against: peer.name.clone(), reached, limit })
        });
        bars.extend(bar);
    };
    let single = "RS256 2048 logout token, one by one";
    add(single, rs256, "Claimgate", &[JSONWEBTOKEN], Limit::Faster(3.0));
    add(single, rs256, "Claimgate", &["raw ring"], Limit::Faster(3.0));
    let batch = "RS256 2048 logout token, batches of 64";
    add(batch, rs256, BATCH, &[JSONWEBTOKEN], Limit::Faster(6.0));
    add(batch, rs256, BATCH, &["raw ring"], Limit::Faster(6.0));
    let hs256 = "HS256 logout token, one by one";
    let jsonwebtoken = [JSONWEBTOKEN, "jsonwebtoken (RustCrypto), to a struct"];
    add(hs256, "HS256, logout token", "Claimgate", &jsonwebtoken, Limit::Faster(3.0));
    let raw = ["raw ring", "raw aws-lc", "raw RustCrypto"];
    add(hs256, "HS256, logout token", "Claimgate", &raw, Limit::Within(3.0));
    let by_ring = "RS256 2048 logout token by ring, over the raw signature";
    add(by_ring, rs256, "Claimgate, by ring", &["raw ring"], Limit::Within(1.08));
    let path = "$.resource_access.crm.roles[*]";
    add(
        "$.resource_access.crm.roles[*]",
        path,
        "Claimgate",
        &["jsonpath-rust, compiled"],
        Limit::Faster(3.0),
    );
    bars
}

fn fastest<'r>(rows: impl Iterator<Item = &'r Row>) -> Option<&'r Row> {
    rows.min_by(|one, other| one.median().total_cmp(&other.median()))
}
