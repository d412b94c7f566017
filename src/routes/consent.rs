//! The consent of those whom a route forwards to: a link that is mailed to them, and what follows from it.
//!
//! Answers: the token in the link, signed and good for seven days; which targets are to be asked; that one agreed. Nothing is forwarded before.
//! Does not: send the mail (`ops::consent`), or show the page (`http::consent`). To follow the link changes nothing: scanners of links do that too.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Route, RouteError, Routes};
use crate::model::{DomainName, EmailAddress, ProjectId, RouteId, Secret};
use crate::store::StoreError;
use crate::store::{consent as table, route};

/// How long a link holds.
const HOLDS: Duration = Duration::days(7);
/// How soon a target may be asked again.
const AGAIN: Duration = Duration::minutes(10);
const CODE_OCTETS: usize = 16;

/// Makes and checks links.
#[derive(Clone, Debug)]
pub struct ConsentKey(hmac::Key);

impl ConsentKey {
    /// Of a secret derived from the master key for this purpose alone.
    #[must_use]
    pub fn new(secret: &Secret<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// The token for a target, good for seven days from `now`.
    #[must_use]
    pub fn token(&self, route: RouteId, target: &EmailAddress, now: OffsetDateTime) -> String {
        let until = (now + HOLDS).unix_timestamp();
        let mut octets = route.uuid().as_bytes().to_vec();
        octets.extend_from_slice(&until.to_be_bytes());
        let code = self.code(&octets, target.to_string().as_bytes());
        octets.extend_from_slice(code.as_ref().get(..CODE_OCTETS).unwrap_or_default());
        octets.extend_from_slice(target.to_string().as_bytes());
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// What a token asks for; none if it is not ours or its time is over.
    #[must_use]
    pub fn read(&self, token: &str, now: OffsetDateTime) -> Option<Asked> {
        let octets = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (told, rest) = octets.split_at_checked(24)?;
        let (code, target) = rest.split_at_checked(CODE_OCTETS)?;
        let right = self.code(told, target);
        constant_time::verify_slices_are_equal(right.as_ref().get(..CODE_OCTETS)?, code).ok()?;
        let (route, until) = told.split_at_checked(16)?;
        let until = i64::from_be_bytes(until.try_into().ok()?);
        (now.unix_timestamp() <= until).then_some(())?;
        let target = EmailAddress::parse(std::str::from_utf8(target).ok()?).ok()?;
        Some(Asked { route: RouteId::from_uuid(Uuid::from_slice(route).ok()?), target })
    }

    fn code(&self, told: &[u8], target: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(told);
        context.update(&[0]);
        context.update(target);
        context.sign()
    }
}

/// Whom a link asks, about which route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The route.
    pub route: RouteId,
    /// Where it wants to forward to.
    pub target: EmailAddress,
}

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is forwarded.
    pub pattern: String,
    /// To whom.
    pub target: EmailAddress,
    /// It was agreed to.
    pub is_confirmed: bool,
}

/// Somebody who is to be asked.
#[derive(Clone, Debug)]
pub struct ToAsk {
    /// Whose route it is.
    pub project: ProjectId,
    /// The route.
    pub route: RouteId,
    /// What it forwards.
    pub pattern: String,
    /// The domain, which the mail comes from.
    pub domain: DomainName,
    /// Whom.
    pub target: EmailAddress,
}

impl Routes {
    /// What the token of a link asks; none if it is not ours, its time is over, or the route is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn question(&self, token: &str) -> Result<Option<Question>, StoreError> {
        let Some(asked) = self.inner.consent.read(token, self.inner.clock.now()) else { return Ok(None) };
        let found = table::find(&self.inner.store, asked.route.uuid(), &asked.target.to_string()).await?;
        Ok(found.map(|row| Question { pattern: pattern_of(&row.local, &row.domain), target: asked.target, is_confirmed: row.confirmed }))
    }

    /// The owner of the target agreed, by the token of a link; none as of [`Self::question`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agree(&self, token: &str) -> Result<Option<Question>, StoreError> {
        let Some(question) = self.question(token).await? else { return Ok(None) };
        let Some(asked) = self.inner.consent.read(token, self.inner.clock.now()) else { return Ok(None) };
        if !route::confirm(&self.inner.store, asked.route.uuid(), &asked.target.to_string(), self.inner.clock.now()).await? {
            return Ok(None);
        }
        self.forget();
        tracing::info!(route = %asked.route, "somebody agreed to get what a route forwards");
        Ok(Some(Question { is_confirmed: true, ..question }))
    }

    /// Has the targets of a route that did not agree asked again, those that were not asked in the last ten minutes. Answers how many.
    ///
    /// # Errors
    /// [`RouteError::NotFound`] and of the database.
    pub async fn ask_again(&self, project: ProjectId, id: RouteId) -> Result<u64, RouteError> {
        let _route: Route = self.get(project, id).await?.ok_or(RouteError::NotFound)?;
        let before = self.inner.clock.now() - AGAIN;
        let asked = route::ask_again(&self.inner.store, id.uuid(), before).await?;
        self.forget();
        Ok(asked)
    }

    /// Targets of verified domains that nobody asked yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn to_ask(&self, limit: i64) -> Result<Vec<ToAsk>, StoreError> {
        let rows = table::to_ask(&self.inner.store, self.inner.allow_unverified, limit).await?;
        let read = |row: table::ToAskRow| {
            Some(ToAsk {
                project: ProjectId::from_uuid(row.project_id),
                route: RouteId::from_uuid(row.route_id),
                pattern: pattern_of(&row.local, &row.domain),
                domain: DomainName::parse(&row.domain).ok()?,
                target: EmailAddress::parse(&row.target).ok()?,
            })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// The token that asks somebody.
    #[must_use]
    pub fn token(&self, ask: &ToAsk) -> String {
        self.inner.consent.token(ask.route, &ask.target, self.inner.clock.now())
    }

    /// Notes that somebody was asked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn asked(&self, ask: &ToAsk) -> Result<(), StoreError> {
        route::asked(&self.inner.store, ask.route.uuid(), &ask.target.to_string(), self.inner.clock.now()).await?;
        self.forget();
        Ok(())
    }
}

fn pattern_of(local: &str, domain: &str) -> String {
    format!("{local}@{domain}")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    #[test]
    fn a_token_holds_for_its_route_target_and_time_and_nobody_else_makes_one() {
        let key = ConsentKey::new(&Secret::new([7; 32]));
        let (route, target) = (RouteId::from_uuid(Uuid::from_u128(1)), EmailAddress::parse("Bee@else.example").unwrap());
        let token = key.token(route, &target, NOW);
        let asked = Some(Asked { route, target: target.clone() });
        assert_eq!((key.read(&token, NOW), key.read(&token, NOW + HOLDS)), (asked.clone(), asked));
        assert_eq!(key.read(&token, NOW + HOLDS + Duration::SECOND), None);
        assert_eq!(ConsentKey::new(&Secret::new([8; 32])).read(&token, NOW), None);
        let octets = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for place in 0..octets.len() {
            let mut changed = octets.clone();
            changed[place] ^= 1;
            assert_eq!(key.read(&URL_SAFE_NO_PAD.encode(changed), NOW), None, "{place}");
        }
        for text in ["", "x", "AAAA", &token[..30]] {
            assert_eq!(key.read(text, NOW), None);
        }
    }
}
