//! The limits of the system: open files, memory and the disk.

use std::path::Path;

use rustix::fs::statvfs;

use crate::command::report::Report;
use crate::system;
use crate::web::capacity::{MOST_FILES, most_connections, most_memory};

const MIB: u64 = 1024 * 1024;
/// Connections with which a server serves an office, and no more.
const FEW_CONNECTIONS: usize = 1_024;
/// Free bytes of the disk below which a database stops soon.
const DISK_FULL: u64 = 64 * MIB;
/// Free bytes of the disk that are worth a word.
const DISK_LOW: u64 = 1024 * MIB;

/// Reports the limits of the system for a server that is started from here, and the disk of its database.
pub(super) fn check(database: Option<&Path>, report: &mut Report) {
    report.line("limits of the system, for a server that is started from here");
    let open_files = system::most_open_files(MOST_FILES);
    check_open_files(open_files, report);
    check_memory(available_memory(), most_memory(open_files) as u64, report);
    if let Some(database) = database {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Ok(disk) = statvfs(folder.unwrap_or(Path::new("."))) {
            check_disk(disk.f_bavail.saturating_mul(disk.f_frsize), report);
        }
    }
}

fn check_open_files(open_files: usize, report: &mut Report) {
    let connections = most_connections(open_files);
    let found = format!("{open_files} open files, for {connections} connections");
    let remedy = format!(
        "raise the hard limit: LimitNOFILE={MOST_FILES} in the unit of systemd, or ulimit -n {MOST_FILES}"
    );
    if open_files >= MOST_FILES {
        report.good(&found);
    } else if connections >= FEW_CONNECTIONS {
        report.note(&format!("{found}; for more, {remedy}"));
    } else {
        report.fault(&format!("{found}: further ones are closed"), &remedy);
    }
}

/// Judges the memory that is available against the most that strangers can make a server hold.
fn check_memory(available: Option<u64>, most: u64, report: &mut Report) {
    let Some(available) = available else {
        return report.note("this system does not say how much memory is available");
    };
    let (available, most) = (available / MIB, most / MIB);
    if available >= most {
        report.good(&format!(
            "{available} MiB of memory are available; strangers can make the server hold {most} at most"
        ));
    } else {
        report.note(&format!(
            "{available} MiB of memory are available, and strangers can make the server hold {most} at most: the system may end \
             it; allow fewer connections, such as with LimitNOFILE=4352 in the unit of systemd \
             (docs/assurance/denial-of-service.md)"
        ));
    }
}

fn check_disk(free: u64, report: &mut Report) {
    let found = format!("{} MiB are free on the disk of the database", free / MIB);
    let remedy = "free some, or move `database`: a full disk refuses sign-ins and logouts";
    match free {
        0..DISK_FULL => report.fault(&found, remedy),
        DISK_FULL..DISK_LOW => report.note(&format!("{found}; {remedy}")),
        _ => report.good(&found),
    }
}

/// Returns the bytes of memory that new programs can have, by the system and by the limit of the control group; none
/// where the system does not say so.
fn available_memory() -> Option<u64> {
    let system = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_of_system(&text));
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/').to_owned();
        let group = Path::new("/sys/fs/cgroup").join(path);
        let number = |file: &str| std::fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
        Some(number("memory.max")?.saturating_sub(number("memory.current").unwrap_or_default()))
    });
    match (system, group) {
        (Some(system), Some(group)) => Some(system.min(group)),
        (one, other) => one.or(other),
    }
}

fn memory_of_system(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(check: impl FnOnce(&mut Report)) -> (usize, String) {
        let mut report = Report::default();
        check(&mut report);
        (report.problems, report.text)
    }

    #[test]
    fn what_is_short_is_a_problem_with_its_remedy() {
        for (open_files, problems, text) in [
            (MOST_FILES, 0, "16384 connections"),
            (4_352, 0, "note     4352 open files, for 4096 connections; for more, raise the hard limit"),
            (
                1_024,
                1,
                "PROBLEM  1024 open files, for 768 connections: further ones are closed; raise the hard limit: LimitNOFILE=",
            ),
        ] {
            let (found, said) = said(|report| check_open_files(open_files, report));
            assert!(found == problems && said.contains(text), "{said}");
        }
        for (available, problems, text) in [
            (Some(1504 * MIB), 0, "ok       1504 MiB"),
            (
                Some(1503 * MIB),
                0,
                "note     1503 MiB of memory are available, and strangers can make the server hold 1504",
            ),
            (None, 0, "does not say"),
        ] {
            let (found, said) = said(|report| check_memory(available, 1504 * MIB, report));
            assert!(found == problems && said.contains(text), "{said}");
        }
        for (free, problems, text) in [
            (DISK_LOW, 0, "ok "),
            (DISK_LOW - 1, 0, "note "),
            (DISK_FULL - 1, 1, "63 MiB are free on the disk of the database; free some"),
        ] {
            let (found, said) = said(|report| check_disk(free, report));
            assert!(found == problems && said.contains(text), "{said}");
        }
    }

    #[test]
    fn the_memory_of_the_system_is_read() {
        let text = "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:    2048 kB\nBuffers: 3 kB\n";
        assert_eq!(memory_of_system(text), Some(2 * MIB));
        assert_eq!(memory_of_system("MemTotal: 1 kB\n"), None);
    }
}
