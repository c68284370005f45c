//! What a server costs: the processor time of a process and its children.

/// Ticks of `/proc` in a second, on every Linux of today.
const TICKS: f64 = 100.0;

/// Seconds that the process and its living children have used.
pub fn seconds(process: u32) -> f64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ticks: u64 = entries
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold spaces; what follows does not: state, parent, …
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
            let parent: u32 = fields.get(1)?.parse().ok()?;
            let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
            (id == process || parent == process).then(|| number(11).zip(number(12)))?
        })
        .map(|(user, system)| user + system)
        .sum();
    ticks as f64 / TICKS
}
