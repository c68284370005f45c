//! The metrics of the process, under the names that Prometheus' clients share, and what the build is.

use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::time::{ClockId, clock_gettime};

use crate::system;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    commit: &'static str,
}

/// The metrics of the process. A value that the system does not report stays 0.
pub(super) struct ProcessMetrics {
    resident_memory: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    cpu: Counter<f64, AtomicU64>,
}

impl ProcessMetrics {
    /// Registers the metrics. The process counts as started now.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let build = Family::<Build, Gauge>::default();
        let commit = option_env!("CLAIMGATE_COMMIT").unwrap_or("not recorded");
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION"), commit }).set(1);
        registry.register("claimgate_build_info", "The version and the commit of the program", build);
        let start = Gauge::<i64>::default();
        start.set(system::now().0);
        let help = "Start of the server, in seconds since 1970";
        registry.register_with_unit("process_start_time", help, Unit::Seconds, start);
        let resident_memory = Gauge::default();
        let help = "Resident memory of the process";
        registry.register_with_unit("process_resident_memory", help, Unit::Bytes, resident_memory.clone());
        let (open_fds, max_fds) = (Gauge::default(), Gauge::default());
        registry.register("process_open_fds", "Open file descriptors", open_fds.clone());
        registry.register("process_max_fds", "Most open file descriptors", max_fds.clone());
        let cpu = Counter::default();
        let help = "Time of all processors that the process took";
        registry.register_with_unit("process_cpu", help, Unit::Seconds, cpu.clone());
        Self { resident_memory, open_fds, max_fds, cpu }
    }

    /// Reads the present values.
    pub(super) fn read(&self) {
        let number = |value: Option<u64>| i64::try_from(value.unwrap_or_default()).unwrap_or(i64::MAX);
        self.resident_memory.set(number(resident_memory()));
        self.open_fds.set(number(open_fds()));
        self.max_fds.set(number(max_fds()));
        self.cpu.inc_by((cpu() - self.cpu.get()).max(0.0));
    }
}

/// Returns the bytes of resident memory: proc_pid_status(5).
fn resident_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

fn open_fds() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them reads the folder.
    u64::try_from(open.saturating_sub(1)).ok()
}

fn max_fds() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Returns the seconds of processors that the process took.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let since_start = Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    );
    since_start.as_secs_f64()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_each_value() {
        assert!(resident_memory().is_some_and(|bytes| bytes > 1 << 20));
        let open = open_fds().expect("descriptors");
        assert!(open >= 3 && max_fds().is_some_and(|most| most >= open), "{open}");
        assert!(cpu() > 0.0);
    }
}
