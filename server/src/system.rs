//! The system clock and the random source, which the rules receive as values; limits, and the names of users.

use std::time::SystemTime;

use claimgate::oidc::records::Position;
use claimgate::time::UnixTime;

/// How much lower the priority of threads is that compute for long.
const LOWER: i32 = 5;

/// Returns the time as a position: in milliseconds since 1970.
pub(crate) fn position() -> Position {
    SystemTime::now().into()
}

/// Returns the time, in seconds since 1970.
pub(crate) fn now() -> UnixTime {
    SystemTime::now().into()
}

/// Returns the time, in microseconds since 1970.
pub(crate) fn micros() -> i64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Returns the time since the machine started, including the time for which it was suspended: a lease must not outlast
/// a pause.
pub(crate) fn boot_time() -> std::time::Duration {
    use rustix::time::{ClockId, clock_gettime};
    // Elsewhere the monotonic clock counts a suspension, or the system has no other.
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    std::time::Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Raises the number of files that this process may have open, up to `wanted` or what the system allows, and
/// returns it.
pub(crate) fn raise_open_files(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let limit = getrlimit(Resource::Nofile);
    // No value means no limit.
    let (Some(current), most) = (limit.current, limit.maximum.unwrap_or(u64::MAX)) else { return usize::MAX };
    let raised = wanted.min(most);
    let allowed = current < raised
        && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }).is_ok();
    usize::try_from(if allowed { raised } else { current }).unwrap_or(usize::MAX)
}

/// Returns the number of files that a process started from this one may have open once it has raised the limit, up to
/// `wanted`.
pub(crate) fn most_open_files(wanted: usize) -> usize {
    use rustix::process::{Resource, getrlimit};
    let most = getrlimit(Resource::Nofile).maximum.and_then(|most| usize::try_from(most).ok());
    most.unwrap_or(usize::MAX).min(wanted)
}

/// Lowers the priority of this thread: it gets about a third of a core that a thread of ordinary priority wants
/// too, and the whole of a free one.
pub(crate) fn lower_priority() {
    // Linux has a priority for each thread. A system that refuses leaves it as it is.
    let _ = rustix::process::nice(LOWER);
}

/// Returns the name of a user; the number where it has none.
pub(crate) fn user_name(user: u32) -> String {
    name_in("/etc/passwd", user)
}

/// Returns the name of a group; the number where it has none.
pub(crate) fn group_name(group: u32) -> String {
    name_in("/etc/group", group)
}

/// Returns the primary group of a user; `None` for a user that `/etc/passwd` does not have.
pub(crate) fn primary_group(user: u32) -> Option<u32> {
    fields_in("/etc/passwd", user)?.get(3)?.parse().ok()
}

/// Returns the owner that `chown` gives a file to: a user with the primary group, or the number of a user that
/// `/etc/passwd` does not have, whose group `chown` does not know.
pub(crate) fn owner_with_group(user: u32) -> String {
    match fields_in("/etc/passwd", user) {
        Some(_) => format!("{}:", user_name(user)),
        None => user.to_string(),
    }
}

fn name_in(file: &str, number: u32) -> String {
    let fields = fields_in(file, number).unwrap_or_default();
    fields.into_iter().next().unwrap_or_else(|| number.to_string())
}

/// Returns the line for a number in a file as `passwd(5)` and `group(5)` describe: fields divided by colons, of which
/// the first is the name and the third the number.
fn fields_in(file: &str, number: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let number = number.to_string();
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2) == Some(&number.as_str()))?;
    Some(found.into_iter().map(str::to_owned).collect())
}

/// Fills a buffer from the operating system's randomness.
///
/// # Panics
/// If the operating system has none: a secret would be guessable.
pub(crate) fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives randomness");
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    #[test]
    fn a_user_and_a_group_have_their_names_or_else_their_numbers() {
        assert_eq!(user_name(0), "root");
        let root = std::fs::read_to_string("/etc/group").expect("the groups");
        let root = root.lines().find(|line| line.split(':').nth(2) == Some("0")).expect("group 0");
        assert_eq!(Some(group_name(0).as_str()), root.split(':').next());
        let unused = u32::MAX - 1;
        assert_eq!((user_name(unused), group_name(unused)), (unused.to_string(), unused.to_string()));
        assert_eq!((primary_group(0), primary_group(unused)), (Some(0), None));
        assert_eq!((owner_with_group(0), owner_with_group(unused)), ("root:".to_owned(), unused.to_string()));
    }

    // finding: S4
    #[test]
    fn the_limit_of_open_files_is_raised_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        let Some(current) = before.current else { return };
        setrlimit(Resource::Nofile, Rlimit { current: Some(current - 1), ..before }).expect("a lower limit");
        let current = usize::try_from(current).expect("a number of files");
        assert_eq!(raise_open_files(current), current);
        assert_eq!(raise_open_files(1), current);
    }
}
