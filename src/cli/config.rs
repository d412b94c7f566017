//! `pennypost config`: what the configuration is, and whether it is sound.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use toml::Value;

use super::context::Context;
use super::failure::Failure;
use crate::config::{DEFAULT_TOML, Loaded, check};
use crate::serve;

/// Show and check the configuration
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every option as it stands and where it was set; secrets are left out
    Show,
    /// Check the configuration; exit code 2 names every wrong option with its line and fix
    Check,
    /// Print default.toml: every option with its comment
    Default,
}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong.
pub fn run(context: &Context, command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Default => context.output.show(&DEFAULT_TOML.parse::<toml::Table>()?, || DEFAULT_TOML.to_owned())?,
        ConfigCommand::Show => {
            let mut loaded = context.load()?;
            redact(&mut loaded);
            context.output.show(&loaded.table, || text(&loaded))?;
        }
        ConfigCommand::Check => {
            let loaded = context.load()?;
            serve::tables(&loaded.config).map_err(|error| Failure::usage(error.to_string()))?;
            let missing = check::missing_for_serving(&loaded.config).map(|problem| problem.to_string());
            let file = loaded.file.as_ref().map(|file| file.display().to_string());
            let shown = json!({"ok": true, "file": file, "missing_for_serving": missing});
            context.output.show(&shown, || {
                let source = file.unwrap_or_else(|| "no file; defaults and environment".to_owned());
                missing.as_ref().map_or_else(|| format!("ok: {source}"), |missing| format!("ok: {source}\nbefore `pennypost serve`: {missing}"))
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn redact(loaded: &mut Loaded) {
    for (section, option) in [("database", "url"), ("tls", "acme_eab_key"), ("tls", "acme_dns_key")] {
        let value = loaded.table.get_mut(section).and_then(|section| section.get_mut(option));
        if let Some(Value::String(value)) = value
            && !value.is_empty()
        {
            "[secret]".clone_into(value);
        }
    }
}

fn text(loaded: &Loaded) -> String {
    let mut text = String::new();
    for (section, options) in &loaded.table {
        let _ = writeln!(text, "[{section}]");
        for (option, value) in options.as_table().into_iter().flatten() {
            let line = format!("{option} = {value}");
            let _ = match loaded.origins.get(&format!("{section}.{option}")) {
                None => writeln!(text, "{line}"),
                Some(origin) => writeln!(text, "{line:<50} # {origin}"),
            };
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn what_is_shown_names_its_origin_and_no_secret() {
        let environment = [("DATABASE_URL".to_owned(), "postgres://app:hush@db/app".to_owned())].into();
        let mut loaded = load::read("[server]\nhostname = \"mail.example.com\"\n", Some("pennypost.toml".into()), &environment).unwrap();
        redact(&mut loaded);
        let text = text(&loaded);
        assert!(!text.contains("hush"), "{text}");
        let own = text.lines().filter(|line| line.contains('#') || line.starts_with("bin_dir")).collect::<Vec<_>>();
        insta::assert_snapshot!(own.join("\n"));
    }
}
