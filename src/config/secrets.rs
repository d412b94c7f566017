//! Passwords that the configuration names and does not hold: read from their file or variable once, when it is loaded.
//!
//! Answers: the password, or which file or variable gives none. Does not: show one; a [`Secret`] is never printed.

use std::collections::BTreeMap;
use std::path::Path;

use super::Config;
use super::environment::Environment;
use super::error::{Origin, Problem};
use crate::model::Secret;

/// Fills in the passwords of `config`. Answers what could not be read.
pub(super) fn read(config: &mut Config, origins: &BTreeMap<String, Origin>, environment: &Environment) -> Vec<Problem> {
    let delivery = &mut config.delivery;
    let sources = delivery.source.iter_mut().enumerate().map(|(number, source)| {
        let found = one(&source.proxy_password_file, &source.proxy_password_env, environment);
        ("delivery.source", number, found, &mut source.proxy_password)
    });
    let rules = delivery.smart_host_rule.iter_mut().enumerate().map(|(number, rule)| {
        let found = one(&rule.password_file, &rule.password_env, environment);
        ("delivery.smart_host_rule", number, found, &mut rule.password)
    });
    let mut problems = Vec::new();
    for (option, number, found, place) in sources.chain(rules) {
        match found {
            Ok(Some(password)) => *place = password,
            Ok(None) => {}
            Err((what, fix)) => {
                let origin = origins.get(option).cloned().unwrap_or(Origin::Default);
                problems.push(Problem { option: option.to_owned(), origin, what: format!("(table {}) {what}", number + 1), fix });
            }
        }
    }
    problems
}

fn one(file: &Path, variable: &str, environment: &Environment) -> Result<Option<Secret<String>>, (String, String)> {
    let (text, place) = if !file.as_os_str().is_empty() {
        let text = std::fs::read_to_string(file).map_err(|error| {
            (format!("has a password file that cannot be read: {}: {error}", file.display()), "name a file that this user may read".to_owned())
        })?;
        (text, format!("the file {}", file.display()))
    } else if !variable.is_empty() {
        let text = environment.get(variable).cloned().ok_or_else(|| {
            (format!("names the variable {variable:?} for its password, which is not set"), format!("set {variable}, or name a file instead"))
        })?;
        (text, format!("the variable {variable}"))
    } else {
        return Ok(None);
    };
    // An editor ends a file with a line end.
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err((format!("finds no password: {place} is empty"), "write the password there".to_owned()));
    }
    Ok(Some(Secret::new(password.to_owned())))
}
