//! A report in words: who was not reached, and what was said.
//!
//! Answers: recipients by what stands around addresses (a line of its own, `RCPT TO:`, `to <..>`), and for each the words that belong to
//! it. Knows no mail system; `phrases` has the words. Does not: look into the returned message, but for a recipient that no word names.

use std::collections::HashMap;

use super::address::{Found, addresses};
use super::parts::Anatomy;
use super::said::{Said, said};
use super::{Action, MAX_DIAGNOSTIC, MAX_RECIPIENTS, RecipientReport, phrases};
use crate::model::EmailAddress;

/// Lines of one report that are looked at, and addresses in them.
const MAX_LINES: usize = 2_000;
const MAX_ADDRESSES: usize = 5_000;
/// Recipients that a text is searched for letter by letter.
const MAX_SEARCHES: usize = 20;
/// Lines before a recipient that may say why.
const MAX_BEFORE: usize = 60;

/// How sure it is that an address is one that was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Guessed,
    Mentioned,
    Named,
    Listed,
}

/// An address and the line in which it stands first.
#[derive(Clone, Debug)]
struct Candidate {
    address: EmailAddress,
    line: usize,
    weight: Weight,
}

/// Recipients of a report in words, and whether they are guessed: no word names one, and the message went to somebody.
pub(super) fn read(anatomy: &Anatomy) -> (Vec<RecipientReport>, bool) {
    let lines: Vec<&str> = anatomy.texts.iter().flat_map(|text| text.lines()).take(MAX_LINES).map(str::trim).collect();
    let listed = announced(anatomy);
    let candidates = if listed.is_empty() { best(&lines, anatomy) } else { places(listed, &lines) };
    let delayed = phrases::is_delay(anatomy.first("subject")) || lines.iter().any(|line| phrases::is_delay(line));
    let whole = lines.join("\n");
    let subject = shorten(anatomy.first("subject"));
    let guessed = candidates.iter().any(|candidate| candidate.weight == Weight::Guessed);
    let reports = candidates
        .iter()
        .enumerate()
        .map(|(number, candidate)| {
            let next = candidates.iter().skip(number + 1).map(|other| other.line).find(|line| *line > candidate.line).unwrap_or(lines.len());
            let own = reason(&lines, candidate.line, next.min(end_of_transcript(&lines, candidate.line)));
            let quoted = pick(own, &lines, candidate, &subject);
            report(candidate.address.clone(), &quoted, delayed, &whole, candidates.len() == 1)
        })
        .collect();
    (reports, guessed)
}

fn report(recipient: EmailAddress, quoted: &Said, delayed: bool, whole: &str, alone: bool) -> RecipientReport {
    let action = match (quoted.code, delayed) {
        (Some(200..=299), _) => Action::Delivered,
        (_, true) => Action::Delayed,
        _ => Action::Failed,
    };
    let stage = phrases::stage_of(&quoted.text).or_else(|| if alone { phrases::stage_of(whole) } else { None });
    RecipientReport {
        recipient,
        original_recipient: None,
        action,
        status: quoted.status,
        code: quoted.code,
        stage,
        diagnostic: shorten(&quoted.text),
        reply: shorten(&quoted.quoted),
        remote_mta: None,
    }
}

/// Recipients that a field of the header names.
fn announced(anatomy: &Anatomy) -> Vec<EmailAddress> {
    let mut listed: Vec<EmailAddress> = Vec::new();
    for name in ["x-failed-recipients", "x-bounced-address", "x-undelivered-to", "x-actual-recipient"] {
        for address in anatomy.field(name).flat_map(addresses).map(|found| found.address) {
            if listed.len() < MAX_RECIPIENTS && !listed.contains(&address) {
                listed.push(address);
            }
        }
    }
    listed
}

/// Where known addresses stand in the text.
fn places(listed: Vec<EmailAddress>, lines: &[&str]) -> Vec<Candidate> {
    let mut known: HashMap<EmailAddress, usize> = HashMap::new();
    let everywhere = lines.iter().enumerate().flat_map(|(number, line)| addresses(line).into_iter().map(move |found| (number, found.address)));
    for (number, address) in everywhere.take(MAX_ADDRESSES) {
        known.entry(address).or_insert(number);
    }
    // Spelled in a way that is no address to us; looked for letter by letter, which is slow.
    let mut searches = 0;
    let mut search = |address: &EmailAddress| {
        searches += 1;
        let text = address.to_string().to_ascii_lowercase();
        lines.iter().position(|line| searches <= MAX_SEARCHES && line.to_ascii_lowercase().contains(&text))
    };
    let mut first = |address: &EmailAddress| known.get(address).copied().or_else(|| search(address)).unwrap_or(lines.len());
    listed.into_iter().take(MAX_RECIPIENTS).map(|address| Candidate { line: first(&address), address, weight: Weight::Listed }).collect()
}

/// The addresses of the text that are most surely those not reached.
fn best(lines: &[&str], anatomy: &Anatomy) -> Vec<Candidate> {
    let mut own: Vec<EmailAddress> = anatomy.field("to").chain(anatomy.field("from")).flat_map(addresses).map(|found| found.address).collect();
    let mut all: Vec<Candidate> = Vec::new();
    let everywhere = lines.iter().enumerate().flat_map(|(number, line)| addresses(line).into_iter().map(move |found| (number, *line, found)));
    for (number, line, found) in everywhere.take(MAX_ADDRESSES) {
        let Some(weight) = weigh(line, &found) else {
            own.push(found.address);
            continue;
        };
        let candidate = Candidate { address: found.address, line: number, weight };
        match all.iter().position(|known| known.address == candidate.address) {
            Some(known) => all.get_mut(known).into_iter().filter(|known| known.weight < weight).for_each(|known| *known = candidate.clone()),
            None if all.len() < MAX_RECIPIENTS => all.push(candidate),
            None => {}
        }
    }
    for found in addresses(anatomy.first("subject")) {
        all.push(Candidate { address: found.address, line: lines.len(), weight: Weight::Mentioned });
    }
    let of_others: Vec<Weight> = all.iter().filter(|candidate| !own.contains(&candidate.address)).map(|candidate| candidate.weight).collect();
    let Some(most) = of_others.iter().max() else { return of_own(all, anatomy) };
    let mut chosen: Vec<Candidate> = all.into_iter().filter(|candidate| candidate.weight == *most && !own.contains(&candidate.address)).collect();
    chosen.sort_by_key(|candidate| candidate.line);
    chosen
}

/// Nobody but the author of the message is named: mail to oneself, or the report names nobody and the message has to.
fn of_own(all: Vec<Candidate>, anatomy: &Anatomy) -> Vec<Candidate> {
    let own: Vec<EmailAddress> = addresses(anatomy.first("to")).into_iter().map(|found| found.address).collect();
    let listed: Vec<Candidate> = all.into_iter().filter(|candidate| candidate.weight >= Weight::Named && own.contains(&candidate.address)).collect();
    if !listed.is_empty() {
        return listed;
    }
    let line = usize::MAX;
    anatomy.original().to.into_iter().take(1).map(|address| Candidate { address, line, weight: Weight::Guessed }).collect()
}

/// What the place of an address says about it; none: it is somebody else's.
fn weigh(line: &str, found: &Found) -> Option<Weight> {
    let before = line.get(..found.start)?.to_lowercase();
    let after = line.get(found.end..)?;
    let bare = before.trim_matches([' ', '\t', '<', '"', '\'', '*', '-', '>', '(', '[', '|', '•', '·', ':']);
    let is_code = bare.len() == 3 && bare.starts_with(['4', '5']) && bare.bytes().all(|octet| octet.is_ascii_digit());
    if bare.is_empty() || is_code {
        // "(a@b)" further on in a text that was folded is no list.
        let starts = !before.contains('(');
        return Some(if starts { Weight::Listed } else { Weight::Mentioned });
    }
    if phrases::ends_before_others(&before) || after.trim_start_matches(['>', ' ']).starts_with("SIZE=") {
        return None;
    }
    let labelled = before.trim_end_matches([' ', '\t', '"', '\'', '(', '[', '<']).ends_with(':');
    Some(if labelled || phrases::ends_before_recipient(&before) { Weight::Named } else { Weight::Mentioned })
}

/// The words from a recipient's line to the next recipient's.
fn reason(lines: &[&str], from: usize, to: usize) -> Said {
    let own = lines.get(from..to.min(lines.len())).unwrap_or_default();
    said(&short(own.iter().filter(|line| !is_rule(line)).flat_map(|line| line.split_whitespace())))
}

/// Where the words about a recipient end whose line begins with a reply code: at the next line of a session.
fn end_of_transcript(lines: &[&str], from: usize) -> usize {
    let begins = |line: &&str| {
        let code = line.get(..3).is_some_and(|code| code.starts_with(['4', '5']) && code.bytes().all(|octet| octet.is_ascii_digit()));
        code || line.starts_with(">>>") || line.starts_with("<<<") || line.starts_with("While talking") || line.starts_with("... while talking")
    };
    if !lines.get(from).is_some_and(begins) {
        return lines.len();
    }
    lines.iter().skip(from + 1).position(begins).map_or(lines.len(), |more| from + 1 + more)
}

/// The words that belong to a recipient: its own if they say why, else those before it, else the subject.
fn pick(own: Said, lines: &[&str], candidate: &Candidate, subject: &str) -> Said {
    let address = candidate.address.to_string();
    if own.code.is_some() || own.status.is_some() || phrases::tells_reason(&own.text.replace(&address, "")) {
        return own;
    }
    let line = candidate.line.min(lines.len());
    let before = reason(lines, line.saturating_sub(MAX_BEFORE), line);
    if before.code.is_some() || before.status.is_some() || phrases::tells_reason(&before.text) {
        return before;
    }
    if phrases::tells_reason(subject) {
        return said(subject);
    }
    if own.text.trim_matches(|character: char| !character.is_alphanumeric()).len() > address.len() + 4 { own } else { before }
}

/// A line that divides.
fn is_rule(line: &str) -> bool {
    (1..=MAX_DIAGNOSTIC).contains(&line.len()) && line.chars().all(|character| !character.is_alphanumeric())
}

/// At most [`MAX_DIAGNOSTIC`] characters on one line.
pub(super) fn shorten(text: &str) -> String {
    short(text.split_whitespace())
}

/// As [`shorten`]; takes no more words than it needs.
fn short<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut short = String::new();
    for word in words {
        if short.len() + word.len() >= MAX_DIAGNOSTIC {
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.extend(word.chars().filter(|character| !character.is_control()));
    }
    short
}
