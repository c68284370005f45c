//! The result, as Markdown.

use std::fmt::Write as _;

use crate::measure::{Logouts, Results};

pub fn write(results: &Results) -> String {
    let mut out = String::from(
        "# Under load\n\n\
         Written by `benches/load/run`; do not edit. Everything runs on the same cores, over loopback: the\n\
         server, the load generator, and the provider that signs. Each request is sent once: no token, `jti`\n\
         or session comes twice. Connections are kept, one request at a time on each.\n\n",
    );
    let write = |out: &mut String, line: String| writeln!(out, "{line}").expect("writing to a string");
    write(&mut out, format!("- machine: {}", machine()));
    write(&mut out, format!("- load average of the machine at the end: {}", load_average()));
    write(
        &mut out,
        format!(
            "- {} connections send logouts, {} s each, {} rounds in turns; medians",
            results.connections,
            results.seconds,
            results.claimgate.len()
        ),
    );
    out.push_str("- a release build of Claimgate, its log at info in a file\n\n");
    out.push_str("## Back-channel logouts (RS256, 2048 bits)\n\n");
    out.push_str("| server | logouts/s | p50 ms | p99 ms | server CPU µs each | after `kill -9` in the middle |\n| --- | --- | --- | --- | --- | --- |\n");
    let row = |name: &str, of: &Logouts, kept: String| {
        format!("| {name} | {:.0} | {:.2} | {:.2} | {:.0} | {kept} |", of.per_second, of.p50, of.p99, of.cpu)
    };
    let kept = |acknowledged: usize, remembered: usize| {
        format!("{remembered} of {acknowledged} acknowledged are in the database")
    };
    let claimgate = median(&results.claimgate);
    let durable = &results.durable;
    write(&mut out, row("Claimgate", &claimgate, kept(durable.acknowledged, durable.remembered)));
    let durable = &results.service_durable;
    let name = "a service on axum with `claimgate-tower`, its logouts in SQLite (`examples/services`)";
    write(&mut out, row(name, &median(&results.service), kept(durable.acknowledged, durable.remembered)));
    if let Some((measured, durable, _)) = &results.with_sessions {
        let kept = kept(durable.acknowledged, durable.remembered);
        write(&mut out, row("Claimgate, each ending a live session", measured, kept));
    }
    if !results.apache.is_empty() {
        let apache = median(&results.apache);
        let name = format!("Apache mod_auth_openidc {}", results.apache_version);
        write(&mut out, row(&name, &apache, "nothing: it keeps them in shared memory".to_owned()));
        let mut ratios: Vec<f64> = results
            .claimgate
            .iter()
            .zip(&results.apache)
            .map(|(ours, theirs)| ours.per_second / theirs.per_second)
            .collect();
        ratios.sort_by(f64::total_cmp);
        write(
            &mut out,
            format!(
                "\n**Claimgate takes {:.1} times as many**, durably (rounds: {}).",
                ratios[ratios.len() / 2],
                ratios.iter().map(|ratio| format!("{ratio:.1}")).collect::<Vec<_>>().join(", ")
            ),
        );
    }
    if let Some(measured) = &results.forward_auth {
        out.push_str("\n## Forward-auth\n\n| requests/s | p50 ms | p99 ms | server CPU µs each |\n| --- | --- | --- | --- |\n");
        write(
            &mut out,
            format!(
                "| {:.0} | {:.2} | {:.2} | {:.0} |",
                measured.per_second, measured.p50, measured.p99, measured.cpu
            ),
        );
    }
    if !results.steady.is_empty() {
        write(
            &mut out,
            format!(
                "\n## What people notice of a storm\n\n\
                 Forward-auth from 4 connections every 5 ms, whole sign-ins (the provider's signing and the\n\
                 code exchange included) from 2 every 20 ms: alone, and beside {:.0} logouts a second on {}\n\
                 connections. Milliseconds.\n\n\
                 | request | alone p50 | p99 | in the storm p50 | p99 |\n| --- | --- | --- | --- | --- |",
                results.storm_beside, results.connections
            ),
        );
        for steady in &results.steady {
            let of = |taken: &[f64], share| quantile(taken, share);
            write(
                &mut out,
                format!(
                    "| {} | {:.2} | {:.2} | {:.2} | {:.2} |",
                    steady.name,
                    of(&steady.alone, 0.5),
                    of(&steady.alone, 0.99),
                    of(&steady.beside, 0.5),
                    of(&steady.beside, 0.99)
                ),
            );
        }
    }
    out
}

pub fn median(runs: &[Logouts]) -> Logouts {
    let of = |value: fn(&Logouts) -> f64| quantile(&runs.iter().map(value).collect::<Vec<_>>(), 0.5);
    Logouts {
        per_second: of(|run| run.per_second),
        p50: of(|run| run.p50),
        p99: of(|run| run.p99),
        cpu: of(|run| run.cpu),
    }
}

pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

/// Of the last minute: what beyond 2 is more than the measurement itself is the work of others.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = if info.contains("avx512ifma") { "with" } else { "without" };
    format!("{} cores of {}, {kernel} AVX-512 IFMA", cores, model.map_or("unknown", |(_, name)| name))
}
