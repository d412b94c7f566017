//! Failed sign-ins: slow after a few, locked out for a while after more, told in the log so that fail2ban or a firewall can act.
//!
//! Answers: may this client try now, and what does a failure cost. Guesses are counted, not repeats: a device that offers one old password all day is a
//! nuisance and no attack. A user who signed in from a client lately is not locked out there by what others do elsewhere. An API key is nobody's
//! account, whatever user name stands beside it: a lock of that name would lock out all who write the same.
//! Does not: know whether a password is right, or share its counts with other nodes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, Tick};
use crate::net::places::client_of;

/// Different guesses that cost nothing: people mistype.
const FREE: usize = 3;
/// Different guesses of one client before it is locked out.
const CLIENT_MOST: usize = 10;
/// Different guesses for one user, by all clients, before they are locked out of it.
const USER_MOST: usize = 30;
/// How long a guess is remembered, and a lock lasts.
const WHILE: Duration = Duration::from_mins(15);
/// The longest wait before an answer.
const MAX_DELAY: Duration = Duration::from_secs(8);
/// Clients and users remembered; when there are more, those without recent guesses go, then all.
const MAX_RECORDS: usize = 20_000;

/// Who tries.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// From where.
    pub client: IpAddr,
    /// As whom; none with what has the form of an API key.
    pub user: Option<&'a str>,
}

/// What a failure costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// To be waited before the answer.
    pub delay: Duration,
    /// This one was one too many.
    pub locked_now: bool,
}

/// Counts failures.
#[derive(Debug)]
pub struct Attempts {
    clock: Clock,
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: HashMap<IpAddr, Record>,
    users: HashMap<u64, Record>,
    /// Who signed in from where, and when.
    proven: HashMap<(u64, IpAddr), Tick>,
}

#[derive(Debug, Default)]
struct Record {
    /// Each guess, and when it was offered last.
    guesses: HashMap<u64, Tick>,
    locked_until: Option<Tick>,
}

impl Attempts {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, hasher: RandomState::new(), state: Mutex::default() }
    }

    /// How long this client, or everybody for this user, is locked out; none if not.
    #[must_use]
    pub fn locked_for(&self, tried: Try<'_>) -> Option<Duration> {
        let (now, client, user) = (self.clock.tick(), client_of(tried.client), tried.user.map(|name| self.user(name)));
        let mut state = self.state.lock();
        let left = |record: Option<&Record>| record?.locked_until.map(|until| until.since(now)).filter(|left| !left.is_zero());
        let proven = |user| state.proven.get(&(user, client)).is_some_and(|at| now.since(*at) < WHILE);
        let of_user = || user.filter(|user| !proven(*user)).and_then(|user| left(state.users.get(&user)));
        let locked = left(state.clients.get(&client)).or_else(of_user);
        if locked.is_none() {
            state.forget(now);
        }
        locked
    }

    /// Counts a failure.
    #[must_use]
    pub fn failed(&self, tried: Try<'_>, password: &str) -> Cost {
        let (now, client, user) = (self.clock.tick(), client_of(tried.client), tried.user.map(|name| self.user(name)));
        let guess = self.hasher.hash_one((user, password));
        let mut state = self.state.lock();
        let (guesses, locks_client) = state.clients.entry(client).or_default().add(guess, now, CLIENT_MOST);
        let locks_user = user.is_some_and(|user| state.users.entry(user).or_default().add(guess, now, USER_MOST).1);
        let over = u32::try_from(guesses.saturating_sub(FREE)).unwrap_or(u32::MAX);
        let delay = if over == 0 { Duration::ZERO } else { Duration::from_secs(1 << (over - 1).min(3)).min(MAX_DELAY) };
        Cost { delay, locked_now: locks_client || locks_user }
    }

    /// Remembers a success.
    pub fn succeeded(&self, tried: Try<'_>) {
        let Some(user) = tried.user.map(|name| self.user(name)) else { return };
        let (now, client) = (self.clock.tick(), client_of(tried.client));
        let mut state = self.state.lock();
        if state.proven.len() >= MAX_RECORDS {
            state.proven.retain(|_, at| now.since(*at) < WHILE);
        }
        if state.proven.len() < MAX_RECORDS {
            state.proven.insert((user, client), now);
        }
    }

    fn user(&self, name: &str) -> u64 {
        self.hasher.hash_one(name.to_lowercase())
    }
}

impl State {
    fn forget(&mut self, now: Tick) {
        if self.clients.len() + self.users.len() <= MAX_RECORDS {
            return;
        }
        self.clients.retain(|_, record| record.counts(now));
        self.users.retain(|_, record| record.counts(now));
        if self.clients.len() + self.users.len() > MAX_RECORDS {
            (self.clients, self.users) = (HashMap::new(), HashMap::new());
        }
    }
}

impl Record {
    /// Adds a guess. Answers how many different ones there were within [`WHILE`], and whether this one locks.
    fn add(&mut self, guess: u64, now: Tick, most: usize) -> (usize, bool) {
        self.guesses.retain(|_, at| now.since(*at) < WHILE);
        let is_new = self.guesses.insert(guess, now).is_none();
        let count = self.guesses.len();
        let locks = is_new && count >= most;
        if locks {
            self.locked_until = Some(now.plus(WHILE));
            self.guesses.clear();
        }
        (count, locks)
    }

    /// True while it changes what is answered.
    fn counts(&self, now: Tick) -> bool {
        self.locked_until.is_some_and(|until| until > now) || self.guesses.values().any(|at| now.since(*at) < WHILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried<'a>(client: &str, user: &'a str) -> Try<'a> {
        Try { client: client.parse().unwrap(), user: Some(user) }
    }

    /// Fails with `guesses` different passwords.
    fn fail(attempts: &Attempts, who: Try<'_>, guesses: usize) -> Cost {
        (0..guesses).map(|guess| attempts.failed(who, &format!("guess {guess}"))).last().unwrap()
    }

    #[test]
    fn guessing_gets_slow_and_then_ends_for_a_while() {
        let clock = Clock::movable();
        let attempts = Attempts::new(clock.clone());
        let who = tried("192.0.2.1", "a@b.example");
        assert_eq!(fail(&attempts, who, 3), Cost { delay: Duration::ZERO, locked_now: false });
        assert_eq!(fail(&attempts, who, 4).delay, Duration::from_secs(1));
        assert_eq!(fail(&attempts, who, 9), Cost { delay: Duration::from_secs(8), locked_now: false });
        assert_eq!(attempts.locked_for(who), None);
        assert!(fail(&attempts, who, 10).locked_now);
        assert!(attempts.locked_for(who).is_some() && attempts.locked_for(tried("192.0.2.1", "other@b.example")).is_some());
        assert_eq!(attempts.locked_for(tried("192.0.2.2", "a@b.example")), None, "others are not");
        clock.advance(WHILE);
        assert_eq!(attempts.locked_for(who), None);
        assert_eq!(fail(&attempts, who, 1).delay, Duration::ZERO, "and it begins anew");
    }

    #[test]
    fn one_wrong_password_offered_all_day_is_one_guess() {
        let attempts = Attempts::new(Clock::movable());
        let who = tried("192.0.2.1", "a@b.example");
        for _ in 0..100 {
            assert_eq!(attempts.failed(who, "old"), Cost { delay: Duration::ZERO, locked_now: false });
        }
        assert_eq!(attempts.locked_for(who), None);
    }

    #[test]
    fn an_old_password_beside_now_and_then_another_guess_locks_nobody_out() {
        let clock = Clock::movable();
        let attempts = Attempts::new(clock.clone());
        for step in 0..600 {
            clock.advance(Duration::from_mins(2));
            assert_eq!(attempts.failed(tried("192.0.2.1", "device@b.example"), "old"), Cost { delay: Duration::ZERO, locked_now: false });
            if step % 5 == 0 {
                let cost = attempts.failed(tried("192.0.2.1", &format!("{step}@b.example")), "a typo");
                assert_eq!(cost, Cost { delay: Duration::ZERO, locked_now: false }, "what is older than a quarter of an hour counts no more");
            }
        }
    }

    #[test]
    fn guesses_without_an_account_lock_out_the_client_alone() {
        let attempts = Attempts::new(Clock::movable());
        for guess in 0..100 {
            let _cost = attempts.failed(Try { client: format!("192.0.2.{}", guess / 9).parse().unwrap(), user: None }, &format!("guess {guess}"));
        }
        let locked = |client: &str| attempts.locked_for(Try { client: client.parse().unwrap(), user: None }).is_some();
        assert!(!locked("198.51.100.1") && !locked("192.0.2.3"), "nine of a client are not yet ten");
        let _cost = attempts.failed(Try { client: "192.0.2.3".parse().unwrap(), user: None }, "one more");
        assert!(locked("192.0.2.3"));
        assert!(attempts.state.lock().users.is_empty());
    }

    #[test]
    fn a_user_under_attack_from_everywhere_goes_on_where_he_was() {
        let attempts = Attempts::new(Clock::movable());
        attempts.succeeded(tried("2001:db8::1", "A@b.example"));
        for guess in 0..USER_MOST {
            let client = format!("192.0.2.{guess}");
            let _cost = attempts.failed(tried(&client, "a@b.example"), &format!("guess {guess}"));
        }
        assert!(attempts.locked_for(tried("198.51.100.1", "a@b.example")).is_some());
        assert_eq!(attempts.locked_for(tried("2001:db8::2", "a@b.example")), None, "the same network");
        assert_eq!(attempts.locked_for(tried("198.51.100.1", "c@b.example")), None);
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let clock = Clock::movable();
        let attempts = Attempts::new(clock.clone());
        for number in 0..MAX_RECORDS {
            let _cost = attempts.failed(tried("192.0.2.1", &number.to_string()), "x");
        }
        clock.advance(WHILE);
        assert_eq!(attempts.locked_for(tried("192.0.2.9", "a")), None);
        let state = attempts.state.lock();
        assert!(state.clients.len() + state.users.len() <= MAX_RECORDS, "{}", state.users.len());
    }
}
