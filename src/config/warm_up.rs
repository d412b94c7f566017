//! `[[delivery.source.warm_up]]`: how much a new source address may send to a provider, day by day.
//!
//! Answers: the ceiling of a day. Does not: count, or judge what the operator wrote; `check_egress` does.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use time::Date;
use time::macros::format_description;

use super::egress::Source;

/// One schedule of a source.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// The provider, or the site, that it is for; empty: each of those that no other schedule of the source names.
    #[serde(default)]
    pub provider: String,
    /// The first day, UTC. Nothing is sent before.
    #[serde(deserialize_with = "date")]
    pub since: Date,
    /// Recipients on the first day.
    #[serde(default = "fifty")]
    pub start: u64,
    /// Percent more on each day.
    #[serde(default = "half")]
    pub growth: u64,
    /// The highest ceiling: the day after it there is none.
    #[serde(default = "twenty_thousand")]
    pub end: u64,
    /// The ceilings one by one, instead of the three above; behind the last there is none.
    #[serde(default)]
    pub days: Vec<u64>,
}

impl WarmUp {
    /// Recipients at most on a day; none: as many as there are.
    #[must_use]
    pub fn ceiling(&self, day: Date) -> Option<u64> {
        let Ok(number) = usize::try_from((day - self.since).whole_days()) else { return Some(0) };
        if !self.days.is_empty() {
            return self.days.get(number).copied();
        }
        let mut ceiling = self.start;
        for _ in 0..number {
            if ceiling >= self.end {
                return None;
            }
            // One more at least, so that the end comes.
            let more = (ceiling.saturating_mul(self.growth) / 100).max(1);
            ceiling = ceiling.saturating_add(more).min(self.end);
        }
        Some(ceiling)
    }
}

impl Source {
    /// The schedule for mail to a provider, or to the site of one that is in no table.
    #[must_use]
    pub fn warm_up_for(&self, name: &str) -> Option<&WarmUp> {
        schedule_for(&self.warm_up, name)
    }
}

/// Of a source's schedules the one that is for `name`, else the one for all others.
#[must_use]
pub fn schedule_for<'s>(schedules: &'s [WarmUp], name: &str) -> Option<&'s WarmUp> {
    schedules.iter().find(|schedule| schedule.provider == name).or_else(|| schedules.iter().find(|schedule| schedule.provider.is_empty()))
}

/// A date, with or without quotes.
fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    Date::parse(&text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| D::Error::custom(format!("{text:?} is no date; write it like 2026-11-23")))
}

const fn fifty() -> u64 {
    50
}

const fn half() -> u64 {
    50
}

const fn twenty_thousand() -> u64 {
    20_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> WarmUp {
        toml::from_str(text).unwrap()
    }

    fn on(schedule: &WarmUp, days: i64) -> Option<u64> {
        schedule.ceiling(schedule.since + time::Duration::days(days))
    }

    #[test]
    fn a_ceiling_grows_day_by_day_until_there_is_none() {
        let grown = schedule("since = 2026-11-23\nstart = 100\ngrowth = 50\nend = 300");
        assert_eq!([-1, 0, 1, 2, 3, 4].map(|day| on(&grown, day)), [Some(0), Some(100), Some(150), Some(225), Some(300), None]);
        let slow = schedule("since = \"2026-11-23\"\nstart = 1\ngrowth = 1\nend = 3");
        assert_eq!([0, 1, 2, 3].map(|day| on(&slow, day)), [Some(1), Some(2), Some(3), None]);
        let table = schedule("since = 2026-11-23\ndays = [10, 0, 30]");
        assert_eq!([-1, 0, 1, 2, 3].map(|day| on(&table, day)), [Some(0), Some(10), Some(0), Some(30), None]);
        assert_eq!(on(&schedule("since = 2026-11-23"), 15), Some(20_000), "what is left out is gentle, and over in sixteen days");
        assert_eq!(on(&schedule("since = 2026-11-23"), 16), None);
    }

    #[test]
    fn a_schedule_that_names_the_provider_or_the_site_goes_before_the_one_for_all() {
        let of = |provider: &str| schedule(&format!("since = 2026-11-23\nprovider = \"{provider}\""));
        let schedules = [of(""), of("google"), of("mx.example.net")];
        for (name, provider) in [("google", "google"), ("mx.example.net", "mx.example.net"), ("mx.b.example", "")] {
            assert_eq!(schedule_for(&schedules, name).map(|found| found.provider.as_str()), Some(provider));
        }
        assert_eq!(schedule_for(&schedules[1..], "mx.b.example"), None, "the others are not held to anything");
    }

    #[test]
    fn what_is_no_date_is_told() {
        for text in ["since = \"23.11.2026\"", "since = 5", "since = \"2026-02-30\""] {
            let error = toml::from_str::<WarmUp>(text).unwrap_err().to_string();
            assert!(error.contains("is no date; write it like 2026-11-23"), "{error}");
        }
    }
}
