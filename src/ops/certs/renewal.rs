//! When a certificate is renewed: when the authority wants it (RFC 9773), else at two thirds of its life; and when to try again after a failure.
//!
//! Pure. Does not: use fixed numbers of days: lives get shorter.

use std::time::Duration;

use time::OffsetDateTime;

/// After the first failure, the second, and so on; the last repeats. Authorities allow some five failed proofs an hour.
const WAITS: [Duration; 6] = [
    Duration::from_mins(5),
    Duration::from_mins(20),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
];
/// Where the authority says that it is asked too often, at least this.
const RATE_LIMITED: Duration = Duration::from_hours(1);
/// How often an authority is asked when it wants the renewal, whatever it says (RFC 9773 4.3.2).
const ADVICE: [Duration; 2] = [Duration::from_hours(1), Duration::from_hours(24)];

/// The time in which an authority wants a renewal, start and end.
pub(super) type Window = (OffsetDateTime, OffsetDateTime);

/// Two thirds of the life, or a little earlier: `share`, 0 to 1, of a fiftieth of it. So certificates made together are not renewed together.
pub(super) fn by_age(not_before: OffsetDateTime, not_after: OffsetDateTime, share: f64) -> OffsetDateTime {
    let life = not_after - not_before;
    not_before + life * (2.0 / 3.0) - life * (share.clamp(0.0, 1.0) / 50.0)
}

/// A point of the window, `share` of the way through it.
pub(super) fn by_advice(window: Window, share: f64) -> OffsetDateTime {
    let (start, end) = window;
    if end <= start { start } else { start + (end - start) * share.clamp(0.0, 1.0) }
}

/// When an authority is asked again, that said `after`; none: it says nothing, or cannot be asked.
pub(super) fn ask_again(after: Option<Duration>) -> Duration {
    let [least, most] = ADVICE;
    after.unwrap_or(most).clamp(least, most)
}

/// How long to wait after `failures` tries that failed, this one included; `limited` where the authority says that it is asked too often: for how long it
/// wants to be left alone, or zero if it does not say.
pub(super) fn wait(failures: u32, limited: Option<Duration>) -> Duration {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = WAITS.get(place).or(WAITS.last()).copied().unwrap_or(RATE_LIMITED);
    match limited {
        None => wait,
        Some(told) => wait.max(RATE_LIMITED).max(told.min(Duration::from_hours(7 * 24))),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_whatever_life_it_has() {
        let begin = datetime!(2026-11-01 00:00 UTC);
        for (days, at) in [(90, 60), (45, 30), (6, 4)] {
            let end = begin + time::Duration::days(days);
            assert_eq!((by_age(begin, end, 0.0) - begin).whole_days(), at);
            let early = by_age(begin, end, 1.0);
            assert!(early < by_age(begin, end, 0.0) && early > begin + (end - begin) / 2);
        }
    }

    #[test]
    fn the_authoritys_window_is_heeded() {
        let window = (datetime!(2026-12-01 00:00 UTC), datetime!(2026-12-03 00:00 UTC));
        assert_eq!(by_advice(window, 0.0), window.0);
        assert_eq!(by_advice(window, 0.5), datetime!(2026-12-02 00:00 UTC));
        assert_eq!(by_advice(window, 7.0), window.1);
        assert_eq!(by_advice((window.1, window.0), 0.5), window.1, "a window that ends before it begins");
        assert_eq!(ask_again(Some(Duration::from_hours(6))), Duration::from_hours(6));
        assert_eq!(ask_again(Some(Duration::ZERO)), Duration::from_hours(1));
        assert_eq!(ask_again(Some(Duration::MAX)), Duration::from_hours(24));
        assert_eq!(ask_again(None), Duration::from_hours(24));
    }

    #[test]
    fn tries_get_rarer_and_rarest_where_the_authority_complains() {
        let waits: Vec<Duration> = (1..9).map(|failures| wait(failures, None)).collect();
        assert!(waits.is_sorted() && waits[0] == Duration::from_mins(5) && waits[7] == Duration::from_hours(12));
        assert_eq!(wait(1, Some(Duration::ZERO)), Duration::from_hours(1));
        assert_eq!(wait(1, Some(Duration::from_hours(30))), Duration::from_hours(30));
        assert_eq!(wait(9, Some(Duration::from_secs(1))), Duration::from_hours(12));
        assert_eq!(wait(0, Some(Duration::MAX)), Duration::from_hours(7 * 24));
    }
}
