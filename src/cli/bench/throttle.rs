//! `pennypost bench throttle`: the throttle against simulated providers, hours in a moment, without sockets.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::output::table;
use crate::serve::simulation;

/// Runs all trials and prints what was found.
///
/// # Errors
/// The figures cannot be printed.
pub fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let rounded = |number: f64| (number * 100.0).round() / 100.0;
    let rows: Vec<_> = simulation::TRIALS
        .iter()
        .map(|trial| {
            let found = simulation::run(trial);
            json!({
                "provider": found.name,
                "taken": found.taken,
                "settled_at": rounded(found.settled),
                "messages_refused": found.refused,
                "sessions_refused": found.sessions_refused,
                "refused_per_hundred_once_settled": rounded(found.refused_per_hundred),
            })
        })
        .collect();
    let columns = [
        ("PROVIDER", "/provider"),
        ("TAKEN", "/taken"),
        ("OF ITS LIMIT", "/settled_at"),
        ("MESSAGES REFUSED", "/messages_refused"),
        ("SESSIONS REFUSED", "/sessions_refused"),
        ("REFUSED IN 100, SETTLED", "/refused_per_hundred_once_settled"),
    ];
    context.output.show(&json!({"trials": rows}), || table(&columns, &rows))?;
    Ok(ExitCode::SUCCESS)
}
