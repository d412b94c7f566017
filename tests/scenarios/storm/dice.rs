//! Chance that can be repeated: what happens depends on a seed and on what is asked about, never on the order of asking.

use std::hash::{DefaultHasher, Hash, Hasher};

use pennypost::clock::Clock;

/// Dice with a seed.
#[derive(Clone, Copy, Debug)]
pub struct Dice(u64);

impl Dice {
    /// With the seed in an environment variable, else a fresh one; prints which.
    #[expect(clippy::print_stdout, reason = "who wants to repeat the run needs the seed")]
    pub fn from_env(variable: &str) -> Self {
        let seed = std::env::var(variable).map_or_else(|_| u64::from_be_bytes(Clock::system().random()), |seed| seed.parse().unwrap());
        println!("{variable}={seed}");
        Self(seed)
    }

    /// A number below `below` for `what`: the same each time.
    pub fn roll(self, what: impl Hash, below: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        what.hash(&mut hasher);
        hasher.finish() % below
    }

    /// One of `choices` for `what`.
    pub fn pick<T: Copy>(self, what: impl Hash, choices: &[T]) -> T {
        choices[usize::try_from(self.roll(what, u64::try_from(choices.len()).unwrap())).unwrap()]
    }
}

/// A number from the environment, or `otherwise`.
pub fn size(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
