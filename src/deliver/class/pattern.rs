//! Conditions of a rule: which statuses and hosts fit.

use std::fmt;

use crate::model::EnhancedStatus;

/// `5.7.600-649`, `*.1.1`, `4.7.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusPattern {
    class: Numbers,
    subject: Numbers,
    detail: Numbers,
}

/// Some numbers: from the first to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers(u16, u16);

impl StatusPattern {
    /// Reads a pattern.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(Numbers::parse);
        let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Self { class, subject, detail })
    }

    /// True if the status fits.
    pub(super) const fn fits(&self, status: EnhancedStatus) -> bool {
        self.class.hold(status.class as u16) && self.subject.hold(status.subject) && self.detail.hold(status.detail)
    }
}

impl Numbers {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self(0, u16::MAX));
        }
        let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number <= 999 && !text.starts_with('+'));
        match text.split_once('-') {
            None => number(text).map(|only| Self(only, only)),
            Some((first, last)) => Some(Self(number(first)?, number(last)?)).filter(|range| range.0 <= range.1),
        }
    }

    const fn hold(self, number: u16) -> bool {
        self.0 <= number && number <= self.1
    }
}

/// The end of a host's name, at a dot.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct HostSuffix(String);

impl HostSuffix {
    /// Reads a name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let name = text.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
        let sound = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-".contains(&octet));
        sound.then_some(Self(name))
    }

    /// True if the host has this name, or one below it; `host` in lower case.
    pub(super) fn fits(&self, host: &str) -> bool {
        host.strip_suffix(self.0.as_str()).is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }
}

impl fmt::Debug for HostSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_fits_by_number_range_or_star() {
        let fits = |pattern: &str, status: &str| {
            let (Some(pattern), Ok(status)) = (StatusPattern::parse(pattern), status.parse()) else { return None };
            Some(pattern.fits(status))
        };
        for (pattern, status, expected) in [
            ("5.1.1", "5.1.1", true),
            ("5.1.1", "4.1.1", false),
            ("*.1.1", "4.1.1", true),
            ("5.7.600-649", "5.7.606", true),
            ("5.7.600-649", "5.7.650", false),
            ("4.7.*", "4.7.0", true),
            ("4.7.*", "4.1.7", false),
        ] {
            assert_eq!(fits(pattern, status), Some(expected), "{pattern} {status}");
        }
        for bad in ["", "5", "5.1", "5.1.1.1", "5.1.x", "5.1.9-1", "5..1", "5.1.1000", "5.1.+1", "5.1.-"] {
            assert_eq!(StatusPattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_host_fits_at_a_dot() {
        let suffix = HostSuffix::parse("*.Google.com.");
        assert!(suffix.as_ref().is_some_and(|suffix| suffix.fits("google.com") && suffix.fits("aspmx.l.google.com")));
        assert!(suffix.is_some_and(|suffix| !suffix.fits("notgoogle.com") && !suffix.fits("google.com.evil.example")));
        assert!(HostSuffix::parse("a b").is_none() && HostSuffix::parse("").is_none() && HostSuffix::parse("x@y").is_none());
    }
}
