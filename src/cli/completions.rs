//! `pennypost completions` and `pennypost man`: what shells and readers of manuals need, printed from the declarations.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Arguments;
use super::failure::Failure;

/// Print completions for a shell
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page, or write one for each command
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write one page for each command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints completions.
///
/// # Errors
/// Never.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "pennypost", &mut text);
    let _ = std::io::stdout().write_all(&text);
    Ok(ExitCode::SUCCESS)
}

/// Prints or writes manual pages.
///
/// # Errors
/// The directory cannot be written.
pub fn manual(args: &ManArgs) -> anyhow::Result<ExitCode> {
    if let Some(directory) = &args.dir {
        let cannot = |error| Failure::new(format!("manual pages cannot be written to {}", directory.display())).because(error);
        std::fs::create_dir_all(directory).map_err(|error| cannot(anyhow::Error::from(error)))?;
        pages(directory).map_err(|error| cannot(error.into()))?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
        let _ = std::io::stdout().write_all(&page);
    }
    Ok(ExitCode::SUCCESS)
}

fn pages(directory: &Path) -> std::io::Result<()> {
    let mut command = Arguments::command();
    command.build();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().filter(|inner| inner.get_name() != "help").cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).replace(' ', "-");
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        std::fs::write(directory.join(format!("{name}.1")), page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_manual_page() {
        let directory = std::env::temp_dir().join(format!("pennypost-man-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        pages(&directory).unwrap();
        let page = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
        assert!(page("pennypost.1").contains("pennypost"));
        assert!(page("pennypost-domain-dns.1").contains("DNS records"));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
