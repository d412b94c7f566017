//! The rules: read from TOML, checked whole, asked in order.
//!
//! Answers: the rules of the program, and those of an operator's file before or in place of them. Every fault of a file is told at
//! once, each with its line. Does not: judge a reply; that is `classify`, one file up.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use toml::Spanned;

use super::pattern::{HostSuffix, StatusPattern};
use super::{Told, Wait};
use crate::model::BounceClass;
use crate::model::outcome::{Scope, Stage};

const BUILT_IN: &str = include_str!("rules.toml");
/// Octets of an operator's file.
const MAX_OCTETS: u64 = 1024 * 1024;

/// The rules in force, in the order in which they are asked.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// Why a file of rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It cannot be read.
    #[error("delivery.bounce_rules: {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds what is no rule.
    #[error("delivery.bounce_rules: {} has {} faults:\n{}", path.display(), faults.len(), faults.join("\n"))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// One line each: where, what, and what is expected.
        faults: Vec<String>,
    },
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    hosts: Vec<HostSuffix>,
    stages: Vec<Stage>,
    codes: Vec<String>,
    statuses: Vec<StatusPattern>,
    texts: Vec<String>,
    unless: Vec<String>,
    pub(super) class: BounceClass,
    pub(super) scope: Option<Scope>,
    pub(super) wait: Option<Wait>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    replace: bool,
    #[serde(default)]
    rule: Vec<Spanned<Written>>,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    host: Vec<String>,
    #[serde(default)]
    stage: Vec<Stage>,
    #[serde(default)]
    code: Vec<String>,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    text: Vec<String>,
    #[serde(default)]
    unless: Vec<String>,
    class: BounceClass,
    scope: Option<Scope>,
    wait: Option<Wait>,
}

impl Rules {
    /// The rules of the program.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the text is part of the program, and tests read it")]
    pub fn built_in() -> Arc<Self> {
        static RULES: LazyLock<Arc<Rules>> = LazyLock::new(|| {
            let (rules, _) = read(BUILT_IN).expect("rules.toml holds rules");
            Arc::new(Rules { rules })
        });
        Arc::clone(&RULES)
    }

    /// The rules in force: those of `file` if one is named, before or in place of the program's own.
    ///
    /// # Errors
    /// [`RulesError`] names every fault with its line.
    pub fn load(file: &Path) -> Result<Arc<Self>, RulesError> {
        if file.as_os_str().is_empty() {
            return Ok(Self::built_in());
        }
        let unreadable = |source| RulesError::Unreadable { path: file.to_owned(), source };
        if std::fs::metadata(file).map_err(unreadable)?.len() > MAX_OCTETS {
            return Err(RulesError::Wrong { path: file.to_owned(), faults: vec![format!("the file has more than {MAX_OCTETS} octets")] });
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        Self::with(&text).map_err(|faults| RulesError::Wrong { path: file.to_owned(), faults })
    }

    /// As [`Self::load`], with the text of the file given.
    ///
    /// # Errors
    /// One line for each fault.
    pub fn with(text: &str) -> Result<Arc<Self>, Vec<String>> {
        let (mut rules, replace) = read(text)?;
        if !replace {
            rules.extend(read(BUILT_IN)?.0);
        }
        Ok(Arc::new(Self { rules }))
    }

    /// The first rule that fits.
    pub(super) fn first(&self, told: &Told) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(told))
    }
}

impl Rule {
    fn fits(&self, told: &Told) -> bool {
        let code = || told.code.to_string();
        let none_or = |is_none: bool, fits: &dyn Fn() -> bool| is_none || fits();
        none_or(self.stages.is_empty(), &|| self.stages.contains(&told.stage))
            && none_or(self.codes.is_empty(), &|| self.codes.iter().any(|prefix| code().starts_with(prefix.as_str())))
            && none_or(self.statuses.is_empty(), &|| told.status.is_some_and(|status| self.statuses.iter().any(|pattern| pattern.fits(status))))
            && none_or(self.hosts.is_empty(), &|| told.host.as_deref().is_some_and(|host| self.hosts.iter().any(|suffix| suffix.fits(host))))
            && none_or(self.texts.is_empty(), &|| self.texts.iter().any(|text| told.text.contains(text.as_str())))
            && !self.unless.iter().any(|text| told.text.contains(text.as_str()))
    }

    /// Checks a rule; tells what is wrong with it.
    fn check(written: Written) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let name = written.name.trim().to_owned();
        if name.is_empty() {
            faults.push("name is empty".to_owned());
        }
        let statuses = each(&written.status, "status", "write 5.1.1, 5.7.600-649 or 4.7.*", &mut faults, StatusPattern::parse);
        let hosts = each(&written.host, "host", "write the end of a host's name, like google.com", &mut faults, HostSuffix::parse);
        let codes = each(&written.code, "code", "write a reply code or its first digits, as \"550\" or \"4\"", &mut faults, code);
        let texts = each(&written.text, "text", "write some words of a reply", &mut faults, words);
        let unless = each(&written.unless, "unless", "write some words of a reply", &mut faults, words);
        let lists = [written.host.len(), written.stage.len(), written.code.len(), written.status.len(), written.text.len()];
        if lists.iter().all(|length| *length == 0) {
            faults.push("has no condition and would fit every reply; add host, stage, code, status or text".to_owned());
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let Written { stage, class, scope, wait, .. } = written;
        Ok(Self { name, hosts, stages: stage, codes, statuses, texts, unless, class, scope, wait })
    }
}

/// Reads each entry of a list; what is none is told.
fn each<T>(entries: &[String], field: &str, fix: &str, faults: &mut Vec<String>, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        match parse(entry) {
            Some(value) => found.push(value),
            None => faults.push(format!("{field} holds {entry:?}; {fix}")),
        }
    }
    found
}

fn code(text: &str) -> Option<String> {
    let sound = (1..=3).contains(&text.len()) && text.starts_with(['4', '5']) && text.bytes().all(|octet| octet.is_ascii_digit());
    sound.then(|| text.to_owned())
}

fn words(text: &str) -> Option<String> {
    (!text.trim().is_empty() && !text.contains(['\n', '@'])).then(|| text.to_ascii_lowercase())
}

/// The rules of a text, and whether they are to replace the program's own.
fn read(text: &str) -> Result<(Vec<Rule>, bool), Vec<String>> {
    let line = |offset: usize| 1 + text.bytes().take(offset).filter(|octet| *octet == b'\n').count();
    let file: File =
        toml::from_str(text).map_err(|error| vec![format!("line {}: {}", line(error.span().map_or(0, |span| span.start)), error.message())])?;
    let (mut rules, mut faults) = (Vec::with_capacity(file.rule.len()), Vec::new());
    for written in file.rule {
        let at = line(written.span().start);
        let written = written.into_inner();
        let name = written.name.clone();
        match Rule::check(written) {
            Ok(rule) => rules.push(rule),
            Err(more) => faults.extend(more.into_iter().map(|fault| format!("line {at}: the rule {name:?}: {fault}"))),
        }
    }
    if faults.is_empty() { Ok((rules, file.replace)) } else { Err(faults) }
}
