//! Addresses in running text.
//!
//! Answers: where in a line mail addresses stand, in brackets, quotes or bare. Does not: say whose they are.

use crate::model::EmailAddress;

/// Addresses taken of one line.
const MAX_IN_LINE: usize = 50;

/// An address and the octets of the line that spell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) address: EmailAddress,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// All addresses of a line, in order.
pub(super) fn addresses(line: &str) -> Vec<Found> {
    line.match_indices('@').filter_map(|(at, _)| around(line, at)).take(MAX_IN_LINE).collect()
}

/// The first address of a text.
pub(super) fn first(text: &str) -> Option<EmailAddress> {
    text.match_indices('@').take(MAX_IN_LINE).find_map(|(at, _)| around(text, at)).map(|found| found.address)
}

/// Words that some programs put before an address with an equals sign, as in `to=bee@example.net`.
const LABELS: &[&str] = &["to", "rcpt", "recipient", "user", "email", "address", "orcpt"];

/// The address around the `@` at `at`.
fn around(line: &str, at: usize) -> Option<Found> {
    let (before, after) = (line.get(..at)?, line.get(at + 1..)?);
    let mut start = match before.strip_suffix('"') {
        Some(quoted) => quoted.rfind('"')?,
        None => before.trim_end_matches(is_local).len(),
    };
    let bare = before.get(start..)?.trim_start_matches(['\'', '.', '*', '`', '|']);
    start = at - bare.len();
    if let Some((label, rest)) = bare.split_once('=')
        && LABELS.contains(&label.to_ascii_lowercase().as_str())
    {
        start = at - rest.len();
    }
    let local = line.get(start..at)?;
    if local.is_empty() || local.contains("//") {
        return None;
    }
    let length = after.len() - after.trim_start_matches(|character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-')).len();
    let domain = after.get(..length)?.trim_end_matches(['.', '-']);
    let address = EmailAddress::parse(&format!("{local}@{domain}")).ok()?;
    Some(Found { address, start, end: at + 1 + domain.len() })
}

fn is_local(character: char) -> bool {
    if character.is_ascii() { character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(character) } else { character.is_alphanumeric() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<String> {
        addresses(line).into_iter().map(|found| found.address.to_string()).collect()
    }

    #[test]
    fn addresses_are_found_however_they_are_wrapped() {
        for (line, expected) in [
            ("<bee@example.net>: host said", vec!["bee@example.net"]),
            ("'bee@example.net' is not known.", vec!["bee@example.net"]),
            ("rfc822;bee+tag@example.net", vec!["bee+tag@example.net"]),
            ("to=bee@example.net, from=<a@example.com>", vec!["bee@example.net", "a@example.com"]),
            ("* \"odd name\"@example.net.", vec!["\"odd name\"@example.net"]),
            ("Neko<mailto:bee@example.net>", vec!["bee@example.net"]),
            ("bee@example.net您好", vec!["bee@example.net"]),
            ("see http://example.net/?u=bee@example.net", vec![]),
            ("T=[bee@example.net] @ nobody@ x@y", vec!["bee@example.net"]),
            ("bounce+bee=example.net@example.com", vec!["bounce+bee=example.net@example.com"]),
        ] {
            assert_eq!(found(line), expected, "{line}");
        }
    }

    #[test]
    fn places_are_those_of_the_line() {
        let line = "to <bee@example.net>.";
        let places = addresses(line);
        assert_eq!(places.iter().map(|found| &line[found.start..found.end]).collect::<Vec<_>>(), ["bee@example.net"]);
    }
}
