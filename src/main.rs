//! The `pennypost` program: hands its arguments to [`pennypost::cli`].

use std::process::ExitCode;

/// Gives memory back under load that comes and goes, which the system's allocator does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pennypost::cli::run()
}
