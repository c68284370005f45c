//! The `claimgate` command with the built-in algorithms.

fn main() -> std::process::ExitCode {
    claimgate_server::Command::new().run()
}
