//! Options from the environment: `PENNYPOST_SECTION__OPTION`, and `DATABASE_URL`.
//!
//! Answers: which option a variable sets, and its text as the type that the option has in `default.toml`.
//! Does not: read the environment; it is handed in, so that tests need not change it.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::error::{Origin, Problem};
use super::suggest::nearest;

/// Variables by name.
pub type Environment = BTreeMap<String, String>;

const PREFIX: &str = "PENNYPOST_";

/// One option that the environment sets.
#[derive(Debug, PartialEq)]
pub struct Override {
    /// The section.
    pub section: String,
    /// The option in it.
    pub option: String,
    /// The value.
    pub value: Value,
    /// The variable.
    pub variable: String,
}

/// The options that `environment` sets; variables with one underscore between words are not options and are left alone.
///
/// # Errors
/// A [`Problem`] for each variable that looks like an option and is none, or has a text that its type cannot have.
pub fn overrides(environment: &Environment, defaults: &Table) -> Result<Vec<Override>, Vec<Problem>> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    if let Some(url) = environment.get("DATABASE_URL").filter(|url| !url.is_empty()) {
        let value = Value::String(url.clone());
        found.push(Override { section: "database".to_owned(), option: "url".to_owned(), value, variable: "DATABASE_URL".to_owned() });
    }
    for (variable, text) in environment {
        let Some((section, option)) = variable.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__")) else { continue };
        match read(variable, &section.to_lowercase(), &option.to_lowercase(), text, defaults) {
            Ok(set) => found.push(set),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn read(variable: &str, section: &str, option: &str, text: &str, defaults: &Table) -> Result<Override, Problem> {
    let problem =
        |what: String, fix: String| Problem { option: format!("{section}.{option}"), origin: Origin::Environment(variable.to_owned()), what, fix };
    let Some(model) = defaults.get(section).and_then(|table| table.get(option)) else {
        let names = variables(defaults);
        let fix = nearest(variable, names.iter().map(String::as_str))
            .map_or_else(|| "unset it; `pennypost config default` lists every option".to_owned(), |name| format!("did you mean {name}?"));
        return Err(problem("is not an option".to_owned(), fix));
    };
    let value = parse(text, model).ok_or_else(|| problem(format!("cannot be {text:?}"), format!("write {}", form(model))))?;
    Ok(Override { section: section.to_owned(), option: option.to_owned(), value, variable: variable.to_owned() })
}

fn variables(defaults: &Table) -> Vec<String> {
    let name = |section: &str, option: &str| format!("{PREFIX}{}__{}", section.to_uppercase(), option.to_uppercase());
    let sections = defaults.iter().filter_map(|(section, options)| Some((section, options.as_table()?)));
    sections.flat_map(|(section, options)| options.keys().map(move |option| name(section, option))).collect()
}

fn parse(text: &str, model: &Value) -> Option<Value> {
    match model {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Float(_) => text.trim().parse().ok().map(Value::Float),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(_) if text.trim_start().starts_with('[') => text.trim().parse::<Value>().ok().filter(Value::is_array),
        Value::Array(_) => Some(Value::Array(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(item).collect())),
        Value::Table(_) | Value::Datetime(_) => None,
    }
}

fn item(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
}

/// How a value of the type of `model` is written.
pub(super) fn form(model: &Value) -> &'static str {
    match model {
        Value::String(_) => "text in double quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a decimal point",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list in square brackets",
        Value::Table(_) | Value::Datetime(_) => "a section",
    }
}
