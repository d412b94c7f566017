//! What a remote host said, found in the words of a report.
//!
//! Answers: reply code (RFC 5321 4.2), enhanced status (RFC 3463) and text, from forms like `550 5.1.1 <a@b>... User unknown`,
//! `550-5.7.26 …`, `said: 550 5.1.1`, `ERROR_CODE :550`, `(#5.1.1)`. Does not: say what they mean.

use crate::model::EnhancedStatus;

/// A reply as a report quotes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: Option<u16>,
    pub(super) status: Option<EnhancedStatus>,
    /// All of the words, on one line, without the numbers that are repeated on each line of a reply.
    pub(super) text: String,
    /// Those from the reply code on, in the words of the remote host; empty if there is no code, or nothing after it.
    pub(super) quoted: String,
}

/// Words after a number that counts something.
const UNITS: &[&str] = &[
    "seconds",
    "second",
    "minutes",
    "hours",
    "days",
    "bytes",
    "octets",
    "kb",
    "mb",
    "kib",
    "mib",
    "messages",
    "recipients",
    "characters",
    "lines",
    "times",
    "attempts",
    "more",
    "max)",
    "percent",
    "%",
];

/// Words after the code of a positive reply.
const POSITIVE: &[&str] = &["ok", "accepted", "queued", "message", "mail", "requested", "recipient", "sender"];

/// Reads what was said.
pub(super) fn said(text: &str) -> Said {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut best: Option<(u16, Option<EnhancedStatus>)> = None;
    let mut from = words.len();
    for (place, word) in words.iter().enumerate() {
        let Some((code, rest)) = code_of(word) else { continue };
        let next = words.get(place + 1).copied().unwrap_or_default();
        if rest.is_empty() && UNITS.contains(&next.to_ascii_lowercase().trim_end_matches(['.', ','])) {
            continue;
        }
        let fits = |status: &EnhancedStatus| u16::from(status.class) == code / 100;
        let status = status_of(rest).or_else(|| status_of(next)).filter(fits);
        // A number of two hundred and something is a reply only where words of a reply follow.
        if code < 400 && status.is_none() && !POSITIVE.contains(&next.to_ascii_lowercase().trim_end_matches([',', '.', ':'])) {
            continue;
        }
        let better = match best {
            None => true,
            Some((old, old_status)) => {
                (old < 400 && code >= 400) || (old_status.is_none() && status.is_some() && (old / 100 == code / 100 || old < 400))
            }
        };
        if better {
            best = Some((code, status));
            from = place;
        }
        if best.is_some_and(|(code, status)| code >= 400 && status.is_some()) {
            break;
        }
    }
    let code = best.map(|(code, _)| code);
    let anywhere = || {
        let mut statuses = words.iter().filter_map(|word| status_of(word));
        match code {
            Some(code) => statuses.find(|status| u16::from(status.class) == code / 100),
            None => statuses.find(|status| status.class != 2),
        }
    };
    let status = best.and_then(|(_, status)| status).or_else(anywhere);
    Said { code, status, text: without_repeats(&words, code), quoted: quoted(words.get(from..).unwrap_or_default(), code) }
}

/// The words of the remote host: to the end, or to the bracket that closes what one before the code opened.
fn quoted(words: &[&str], code: Option<u16>) -> String {
    let bracketed = words.first().is_some_and(|word| word.starts_with('['));
    let end = words.iter().position(|word| bracketed && word.trim_end_matches(['.', ',']).ends_with(']')).map_or(words.len(), |place| place + 1);
    let text = without_repeats(words.get(..end).unwrap_or_default(), code);
    if text.chars().filter(|character| character.is_alphabetic()).count() < 3 { String::new() } else { text }
}

/// The reply code at the start of a word, and what follows it in the word.
fn code_of(word: &str) -> Option<(u16, &str)> {
    let bare = word.trim_start_matches(['(', '[', '<', '"', '\'', '#', ':', ',', ';', '{']);
    let (digits, rest) = bare.split_at_checked(3)?;
    let sound = matches!(digits.as_bytes(), [b'2' | b'4' | b'5', b'0'..=b'5' | b'7', b'0'..=b'9']);
    let ends = rest.is_empty() || rest.starts_with(['-', ' ', ':', ',', ';', '\'', '"', ')', ']']) || rest == ".";
    let rest = rest.trim_start_matches(['-', ':', ',', ';', '\'', '"', '.']);
    // A date, a range, a number of a ticket.
    let counted = rest.starts_with(|next: char| next.is_ascii_digit()) && status_of(rest).is_none();
    (sound && ends && !counted).then_some(())?;
    digits.parse().ok().map(|code| (code, rest))
}

/// The enhanced status at the start of a word.
pub(super) fn status_of(word: &str) -> Option<EnhancedStatus> {
    let bare = word.trim_start_matches(['(', '[', '<', '"', '\'', '#', ':', ',', ';', '{', '=']);
    let length = bare.len() - bare.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.').len();
    bare.get(..length)?.trim_end_matches('.').parse().ok()
}

/// The words on one line. Of `550-5.7.26 …` and its like only the words stay, after the first.
fn without_repeats(words: &[&str], code: Option<u16>) -> String {
    let Some(code) = code.map(|code| code.to_string()) else { return words.join(" ") };
    let mut kept = Vec::with_capacity(words.len());
    for word in words {
        let repeated = word.strip_prefix(code.as_str()).map(|rest| rest.strip_prefix('-').unwrap_or(rest));
        match repeated {
            Some(rest) if rest.is_empty() || status_of(rest).is_some() => {}
            Some(rest) if word.get(3..4) == Some("-") => kept.push(rest),
            _ => kept.push(*word),
        }
    }
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_found_in_all_their_forms() {
        for (text, code, status) in [
            ("550 5.1.1 <bee@example.net>... User Unknown", Some(550), "5.1.1"),
            ("host mx.example.net[192.0.2.1] said: 550-5.7.26 Unauthenticated mail 550 5.7.26 gsmtp", Some(550), "5.7.26"),
            ("554 554 5.7.0 Header error (state 18).", Some(554), "5.7.0"),
            ("Invalid Address, ERROR_CODE :550, ERROR_CODE :5.2.1 User Unknown", Some(550), "5.2.1"),
            ("#550 5.7.1 RESOLVER.RST.AuthRequired; authentication required ##", Some(550), "5.7.1"),
            ("5.1.0 - Unknown address error 550-'5.7.1 Access denied'", Some(550), "5.7.1"),
            ("responded with failure: 552 sorry, mailbox is over quota (#5.2.2)", Some(552), "5.2.2"),
            ("Unable to contact LDAP server. (#4.4.3)I'm not going to try again", None, "4.4.3"),
            ("550: 5.1.1 User Unknown", Some(550), "5.1.1"),
            ("Could not deliver for the last 432000 seconds. Giving up.", None, ""),
            ("undelivered for 450 seconds at 192.0.2.250 port 25, 2024-05-30", None, ""),
            ("delivery via mx.example.net[192.0.2.2]:25: 250 2.1.5 Ok", Some(250), "2.1.5"),
            ("421 example.com (smtp)... Deferred: Connection timed out", Some(421), ""),
        ] {
            let said = said(text);
            assert_eq!((said.code, said.status.map(|status| status.to_string()).unwrap_or_default()), (code, status.to_owned()), "{text}");
        }
    }

    #[test]
    fn the_words_of_a_long_reply_stand_together() {
        let said = said("550-5.7.1 likely suspicious due to the very low 550-5.7.1 reputation of the sending IP 550 5.7.1 address.");
        assert_eq!(said.text, "likely suspicious due to the very low reputation of the sending IP 5.7.1 address.");
    }
}
