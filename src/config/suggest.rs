//! "Did you mean": the known word that is nearest to a mistyped one.

/// The word of `known` nearest to `word`, if it is near enough to be meant.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed || candidate.contains(word) && word.len() > 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements that turn one word into the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right = right.chars().collect::<Vec<_>>();
    let mut above = (0..=right.len()).collect::<Vec<_>>();
    for (row, character) in left.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, (other, pair)) in right.iter().zip(above.windows(2)).enumerate() {
            let &[diagonal, over] = pair else { continue };
            let before = line.get(column).copied().unwrap_or(usize::MAX - 1);
            line.push((diagonal + usize::from(character != *other)).min(over + 1).min(before + 1));
        }
        above = line;
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        let known = ["hostname", "http_listen", "public_url"];
        assert_eq!(nearest("hostnam", known), Some("hostname"));
        assert_eq!(nearest("Hostname", known), Some("hostname"));
        assert_eq!(nearest("listen", known), Some("http_listen"));
        assert_eq!(nearest("htp_listn", known), Some("http_listen"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("colour", ["hostname", "public_url"]), None);
    }

    #[test]
    fn distances_count_single_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
