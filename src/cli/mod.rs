//! The command line: one file per command.
//!
//! Answers: which command, with which configuration, and how its end is told: 0 done, 1 failed, 2 wrong usage or configuration; errors on
//! stderr with what, why and what to do. Does not: hold rules; a command asks the rooms that do.

pub mod audit;
pub mod bench;
pub mod client;
pub mod completions;
pub mod config;
pub mod context;
pub mod demo;
pub mod dev;
pub mod doctor;
pub mod domain;
pub mod export;
pub mod failure;
pub mod health;
pub mod import;
pub mod incoming;
pub mod init;
pub mod key;
pub mod message;
pub mod migrate;
pub mod node;
pub mod openapi;
pub mod output;
pub mod project;
pub mod queue;
pub mod report;
pub mod route;
pub mod send;
mod send_report;
mod send_smtp;
pub mod serve;
mod smtp_gmail;
pub mod smtp_user;
pub mod suppression;
pub mod times;
pub mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};

use self::context::Context;
use self::output::Output;

/// A mail gateway of your own: apps post messages over HTTP, Pennypost stores, signs and delivers them.
#[derive(Debug, Parser)]
#[command(name = "pennypost", version, propagate_version = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The configuration file; else ./pennypost.toml, else /etc/pennypost/pennypost.toml, else defaults
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours (NO_COLOR in the environment does the same)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Say less; twice: errors only
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,
    /// Say more; twice: everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Serve(serve::ServeArgs),
    Dev(dev::DevArgs),
    Demo(demo::DemoArgs),
    Migrate(migrate::MigrateArgs),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    #[command(subcommand)]
    Key(key::KeyCommand),
    #[command(subcommand)]
    SmtpUser(smtp_user::SmtpUserCommand),
    #[command(subcommand)]
    Route(route::RouteCommand),
    #[command(subcommand)]
    Incoming(incoming::IncomingCommand),
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    Send(send::SendArgs),
    Doctor(doctor::DoctorArgs),
    #[command(subcommand)]
    Suppression(suppression::SuppressionCommand),
    #[command(subcommand)]
    Report(report::ReportCommand),
    #[command(subcommand)]
    Project(project::ProjectCommand),
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    #[command(subcommand)]
    Message(message::MessageCommand),
    #[command(subcommand)]
    Node(node::NodeCommand),
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Openapi(openapi::OpenapiArgs),
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    Health(health::HealthArgs),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(&arguments.global);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.failed(&anyhow::Error::new(error).context("the runtime cannot be started")),
    };
    let ended = runtime.block_on(dispatch(arguments, output.clone()));
    // A blocked look-up or file must not keep the process from ending.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) => output.failed(&error),
    }
}

async fn dispatch(arguments: Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let context = Context::new(arguments.global, output);
    match arguments.command {
        Command::Init(args) => Box::pin(init::run(&context, args)).await,
        Command::Serve(args) => serve::run(&context, args).await,
        Command::Dev(args) => Box::pin(dev::run(&context, args)).await,
        Command::Demo(args) => Box::pin(demo::run(&context, args)).await,
        Command::Migrate(args) => migrate::run(&context, args).await,
        Command::Config(command) => config::run(&context, &command),
        Command::Domain(command) => domain::run(&context, command).await,
        Command::Key(command) => key::run(&context, command).await,
        Command::SmtpUser(command) => smtp_user::run(&context, command).await,
        Command::Route(command) => Box::pin(route::run(&context, command)).await,
        Command::Incoming(command) => incoming::run(&context, command).await,
        Command::Webhook(command) => webhook::run(&context, command).await,
        Command::Send(args) => send::run(&context, args).await,
        Command::Doctor(args) => doctor::run(&context, args).await,
        Command::Suppression(command) => suppression::run(&context, command).await,
        Command::Report(command) => report::run(&context, command).await,
        Command::Project(command) => project::run(&context, command).await,
        Command::Queue(command) => Box::pin(queue::run(&context, command)).await,
        Command::Message(command) => message::run(&context, command).await,
        Command::Node(command) => node::run(&context, command).await,
        Command::Audit(command) => audit::run(&context, command).await,
        Command::Export(args) => export::run(&context, args).await,
        Command::Import(args) => Box::pin(import::run(&context, args)).await,
        Command::Openapi(args) => openapi::run(&context, args),
        Command::Bench(command) => bench::run(&context, command).await,
        Command::Health(args) => health::run(&context, args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => completions::manual(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent_and_every_command_says_what_it_does() {
        let command = Arguments::command();
        command.clone().debug_assert();
        let mut waiting = vec![command];
        while let Some(command) = waiting.pop() {
            assert!(command.get_about().is_some(), "{} does not say what it does", command.get_name());
            waiting.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn wrong_usage_ends_with_2_and_help_with_0() {
        for (line, code) in
            [("pennypost", 2), ("pennypost --help", 0), ("pennypost sned", 2), ("pennypost -q -v migrate", 2), ("pennypost serve --role cook", 2)]
        {
            let error = Arguments::try_parse_from(line.split(' ')).expect_err("refused");
            assert_eq!(error.exit_code(), code, "{line}");
        }
    }

    #[test]
    fn the_help_lists_every_command() {
        insta::assert_snapshot!(Arguments::command().term_width(100).render_help().to_string());
    }
}
