//! Makes the one [`Config`]: defaults, then the file, then the environment.
//!
//! Answers: which file is read (`--config`, else `./pennypost.toml`, else `/etc/pennypost/pennypost.toml`, else none), what
//! each option is and who said so. Does not: accept what it does not know; an unknown option is an error, since a mistyped
//! limit would otherwise silently not hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::environment::{self, Environment};
use super::error::{ConfigError, Origin, Problem};
use super::suggest::nearest;
use super::{Config, DEFAULT_TOML, Delivery, check, secrets};

/// Where the file is looked for when none is named.
pub const USUAL_FILES: [&str; 2] = ["pennypost.toml", "/etc/pennypost/pennypost.toml"];

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The options.
    pub config: Config,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The options as text, section by section. Holds secrets: redact before showing.
    pub table: Table,
    /// Who set `section.option`; what is missing here is at its default.
    pub origins: BTreeMap<String, Origin>,
}

/// Loads from `file`, else from the first of [`USUAL_FILES`] that exists, else from defaults; then applies `environment`.
///
/// # Errors
/// [`ConfigError`] names every wrong option with its line and fix.
pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Loaded, ConfigError> {
    let file = file.map(Path::to_owned).or_else(|| USUAL_FILES.iter().map(PathBuf::from).find(|path| path.is_file()));
    let text = match &file {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?,
    };
    read(&text, file, environment)
}

/// As [`load`], with the text of the file given.
///
/// # Errors
/// As [`load`].
pub fn read(text: &str, file: Option<PathBuf>, environment: &Environment) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded { config: defaults().clone(), file, table: default_table(), origins: BTreeMap::new() };
    let mut problems = loaded.merge_file(text)?;
    match environment::overrides(environment, &default_table()) {
        Ok(overrides) => overrides.into_iter().for_each(|set| loaded.set(&set.section, &set.option, set.value, Origin::Environment(set.variable))),
        Err(more) => problems.extend(more),
    }
    problems.extend(loaded.settle_types());
    if problems.is_empty() {
        loaded.settle_paths();
        problems = secrets::read(&mut loaded.config, &loaded.origins, environment);
        problems.extend(check::doubts(&loaded.config, &loaded.origins));
    }
    problems.sort_by_key(|problem| problem.origin.line());
    if problems.is_empty() { Ok(loaded) } else { Err(ConfigError::Wrong(problems)) }
}

impl Loaded {
    fn set(&mut self, section: &str, option: &str, value: Value, origin: Origin) {
        if let Some(options) = self.table.get_mut(section).and_then(Value::as_table_mut) {
            options.insert(option.to_owned(), value);
            self.origins.insert(format!("{section}.{option}"), origin);
        }
    }

    /// Lays the options of the file over the defaults; returns what the file has and no option is.
    fn merge_file(&mut self, text: &str) -> Result<Vec<Problem>, ConfigError> {
        let path = self.file.clone().unwrap_or_default();
        let syntax = |error: &toml::de::Error| ConfigError::Syntax {
            path: path.clone(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        };
        let values = text.parse::<Table>().map_err(|error| syntax(&error))?;
        let places = DeTable::parse(text).map_err(|error| syntax(&error))?;
        let mut problems = Vec::new();
        for (section, options) in places.get_ref() {
            let at = |offset: usize| Origin::File { path: path.clone(), line: line_of(text, offset) };
            let name: &str = section.get_ref();
            let known = default_table();
            let Some(known) = known.get(name).and_then(Value::as_table) else {
                problems.push(unknown_section(name, at(section.span().start)));
                continue;
            };
            let DeValue::Table(options) = options.get_ref() else {
                problems.push(Problem {
                    option: name.to_owned(),
                    origin: at(section.span().start),
                    what: "is a section and no option".to_owned(),
                    fix: format!("write [{name}] on a line of its own, and its options below"),
                });
                continue;
            };
            for option in options.keys() {
                let origin = at(option.span().start);
                let option: &str = option.get_ref();
                match values.get(name).and_then(|table| table.get(option)).filter(|_| known.contains_key(option)) {
                    Some(value) => self.set(name, option, value.clone(), origin),
                    None => problems.push(unknown_option(name, option, known, origin)),
                }
            }
        }
        Ok(problems)
    }

    /// Turns the table into a [`Config`]. A value that does not fit is reported, and put back so that the next one is seen too.
    fn settle_types(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        loop {
            let error = match serde_path_to_error::deserialize::<_, Config>(Value::Table(self.table.clone())) {
                Ok(config) => {
                    self.config = config;
                    return problems;
                }
                Err(error) => error,
            };
            let path = error.path().to_string();
            let mut parts = path.split(['.', '[']);
            let (section, option) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let name = format!("{section}.{option}");
            let model = default_table().get(section).and_then(|options| options.get(option)).cloned();
            let origin = self.origins.get(&name).cloned().unwrap_or(Origin::Default);
            let inner = error.into_inner();
            // Which table of a list, and which of its fields.
            let within = path.strip_prefix(&name).filter(|within| within.contains('.'));
            let what = within.map_or_else(
                || format!("does not fit: {}", inner.message()),
                |within| format!("does not fit at {option}{within}: {}", inner.message()),
            );
            let form = if within.is_some() { "it" } else { model.as_ref().map_or("a value", environment::form) };
            let comma = if within.is_some() { "" } else { "," };
            let fix = format!("write {form}{comma} as in `{}`", example(&name, model.as_ref()));
            problems.push(Problem { option: name, origin: origin.clone(), what, fix });
            match model {
                Some(model) if origin != Origin::Default => self.reset(section, option, model),
                _ => return problems,
            }
        }
    }

    fn reset(&mut self, section: &str, option: &str, model: Value) {
        self.set(section, option, model, Origin::Default);
    }

    /// Makes relative paths count from the directory of the file, so that the program may be started from anywhere.
    fn settle_paths(&mut self) {
        let Some(directory) = self.file.as_deref().and_then(Path::parent) else { return };
        let Config { server, database, tls, delivery, delivery_tls, .. } = &mut self.config;
        for (name, paths) in [("tls.certificate_files", &mut tls.certificate_files), ("tls.key_files", &mut tls.key_files)] {
            if !matches!(self.origins.get(name), Some(Origin::Environment(_))) {
                for path in paths.iter_mut() {
                    *path = directory.join(&*path);
                }
            }
        }
        for (name, path) in [
            ("server.master_key_file", &mut server.master_key_file),
            ("database.data_dir", &mut database.data_dir),
            ("database.bin_dir", &mut database.bin_dir),
            ("delivery.bounce_rules", &mut delivery.bounce_rules),
            ("delivery.providers", &mut delivery.providers),
            ("delivery_tls.ca_file", &mut delivery_tls.ca_file),
            ("tls.acme_ca_file", &mut tls.acme_ca_file),
        ] {
            let from_environment = matches!(self.origins.get(name), Some(Origin::Environment(_)));
            if !path.as_os_str().is_empty() && !from_environment {
                *path = directory.join(&*path);
            }
        }
        let Delivery { source, smart_host_rule, .. } = delivery;
        let of_sources = source.iter_mut().map(|source| ("delivery.source", &mut source.proxy_password_file));
        let of_rules = smart_host_rule.iter_mut().flat_map(|rule| [&mut rule.password_file, &mut rule.ca_file]);
        for (name, path) in of_sources.chain(of_rules.map(|path| ("delivery.smart_host_rule", path))) {
            let from_environment = matches!(self.origins.get(name), Some(Origin::Environment(_)));
            if !path.as_os_str().is_empty() && !from_environment {
                *path = directory.join(&*path);
            }
        }
    }
}

fn unknown_section(name: &str, origin: Origin) -> Problem {
    let defaults = default_table();
    let fix = nearest(name, defaults.keys().map(String::as_str)).map_or_else(
        || format!("remove it; sections are {}", defaults.keys().map(|key| format!("[{key}]")).collect::<Vec<_>>().join(" ")),
        |near| format!("did you mean [{near}]?"),
    );
    Problem { option: format!("[{name}]"), origin, what: "is not a section".to_owned(), fix }
}

fn unknown_option(section: &str, option: &str, known: &Table, origin: Origin) -> Problem {
    let elsewhere = || {
        let defaults = default_table();
        let home = defaults.iter().find(|(_, options)| options.get(option).is_some()).map(|(home, _)| home.clone());
        home.map(|home| format!("move it to [{home}]"))
    };
    let fix = nearest(option, known.keys().map(String::as_str))
        .map(|near| format!("did you mean {near}?"))
        .or_else(elsewhere)
        .unwrap_or_else(|| "remove it; `pennypost config default` lists every option".to_owned());
    Problem { option: format!("{section}.{option}"), origin, what: "is not an option".to_owned(), fix }
}

fn example(name: &str, model: Option<&Value>) -> String {
    let option = name.rsplit('.').next().unwrap_or_default();
    match (name, model) {
        ("delivery.egress", _) => "egress = [\"192.0.2.25\"]".to_owned(),
        ("smtp.proxies", _) => "proxies = [\"192.0.2.1\", \"198.51.100.0/24\"]".to_owned(),
        ("delivery.source", _) => "[[delivery.source]] address = \"192.0.2.26\"".to_owned(),
        ("delivery.pool_rule", _) => "[[delivery.pool_rule]] pool = \"bulk\" stream = \"newsletter\"".to_owned(),
        ("delivery.smart_host_rule", _) => "[[delivery.smart_host_rule]] host = \"smtp.example.com:587\"".to_owned(),
        ("dns.servers", _) => "servers = [\"127.0.0.1:53\"]".to_owned(),
        (_, Some(value)) => format!("{option} = {value}"),
        (_, None) => option.to_owned(),
    }
}

/// The line that holds the octet at `offset`, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|octet| *octet == b'\n').count()
}

#[expect(clippy::expect_used, reason = "the text is part of the program, and tests read it")]
fn default_table() -> Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| DEFAULT_TOML.parse().expect("default.toml is TOML"));
    TABLE.clone()
}

/// The configuration without file and environment.
#[expect(clippy::expect_used, reason = "the text is part of the program, and tests read it")]
pub(super) fn defaults() -> &'static Config {
    static CONFIG: LazyLock<Config> = LazyLock::new(|| toml::from_str(DEFAULT_TOML).expect("default.toml holds every option"));
    &CONFIG
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
