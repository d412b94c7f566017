//! A report that arrived: matched with what was sent, and told.
//!
//! Answers: which deliveries a report is about, and writes `bounced` or `complained` about each, once however often the report comes.
//! Matched by the token of the envelope (`mail::verp`), else by a token in the returned message, else by Message-ID. A token proves that who reports has
//! had the message; a Message-ID proves nothing, so what is matched by it is told as unverified and suppresses nobody (F10).
//! A report of success that carries a token is kept for the author who asked for it (`ops::notices`), and changes nothing else: the timeline has what we
//! saw ourselves. Does not: believe a report of a delay.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::classify::meaning;
use crate::clock::{Clock, first_id_at};
use crate::deliver::class::Rules;
use crate::domains::Domains;
use crate::events::EventKind;
use crate::mail::report::{self, Action, Arrival, DeliveryReport, FeedbackReport, Original, RecipientReport};
use crate::mail::verp::{Named, VerpError};
use crate::model::{BounceClass, DeliveryId, EmailAddress, MessageId};
use crate::reports::Reports;
use crate::store::notice;
use crate::store::report::{self as table, RecipientRow, ReportedRow};
use crate::store::{Store, StoreError, Tx};
use crate::telemetry::metrics;

/// A message whose author is told anything is found by then; an older one that is not looked after is forgotten.
const FOUND_WITHIN: Duration = Duration::from_mins(15);

/// Takes what comes back.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The database.
    pub store: Store,
    /// Whose tokens are whose.
    pub domains: Domains,
    /// Time.
    pub clock: Clock,
    /// What replies mean.
    pub rules: Arc<Rules>,
    /// What receivers tell about mail in our name.
    pub reports: Reports,
}

/// What mail to an address of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailbox {
    /// It came to a bounce address, and is about what that names.
    Bounce(Named),
    /// It came to the address that feedback loops are registered for, and has to say itself what it is about.
    Complaints,
}

/// What became of a message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Events were written.
    Told {
        /// `bounced` or `complained`.
        kind: EventKind,
        /// About these.
        deliveries: Vec<DeliveryId>,
    },
    /// A success was noted, for the author.
    Success,
    /// Nothing follows from it.
    Nothing(Nothing),
}

/// Why nothing follows from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// A machine's answer: absent, received, read.
    AutoReply,
    /// No report at all.
    NoReport,
    /// It tells of a delay or of success, or of feedback that is no complaint.
    NoFailure,
    /// It was told before.
    Known,
    /// It is about no message that is still here, or about nobody whom that went to.
    NotFound,
}

/// Why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub enum InboundError {
    /// The delivery it is about is on its way: its host was faster than our own record of what it said. 451 4.3.0, it comes again.
    #[error("the delivery that is reported is not over yet")]
    OnItsWay,
    /// The database: 451 4.3.0, it comes again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a report was matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Token,
    MessageId,
}

impl Inbound {
    /// What mail to `recipient` is; none: it is no address of ours. Asked at RCPT, and again when the message is there.
    ///
    /// # Errors
    /// [`InboundError::Store`]: it cannot be found out now.
    pub async fn mailbox(&self, recipient: &EmailAddress) -> Result<Option<Mailbox>, InboundError> {
        match self.domains.read_bounce_address(recipient) {
            Ok(named) => Ok(Some(Mailbox::Bounce(named))),
            Err(error @ VerpError::Forged) => {
                metrics::report("any", "refused");
                tracing::info!(%error, "a report to an address that is none of ours is refused");
                Ok(None)
            }
            Err(VerpError::NotOurs) => Ok(self.domains.takes_complaints(recipient).await?.then_some(Mailbox::Complaints)),
        }
    }

    /// Reads a message that came to `mailboxes` and tells what it reports to each, in order. It is read once; the same mailbox counts once.
    ///
    /// # Errors
    /// [`InboundError`]; what was told before that is not told again when the message comes again.
    pub async fn arrived(&self, mailboxes: &[Mailbox], message: &[u8]) -> Result<Vec<Heard>, InboundError> {
        let arrival = report::read(message);
        let mut heard = Vec::with_capacity(mailboxes.len());
        for (place, mailbox) in mailboxes.iter().enumerate() {
            if !mailboxes.iter().take(place).any(|other| other == mailbox) {
                heard.push(self.take(*mailbox, &arrival).await?);
            }
        }
        Ok(heard)
    }

    async fn take(&self, mailbox: Mailbox, arrival: &Arrival) -> Result<Heard, InboundError> {
        let named = match mailbox {
            Mailbox::Bounce(named) => Some(named),
            Mailbox::Complaints => None,
        };
        let (what, heard) = match arrival {
            Arrival::AutoReply(_) => ("auto_reply", Ok(Heard::Nothing(Nothing::AutoReply))),
            Arrival::Other => ("other", Ok(Heard::Nothing(Nothing::NoReport))),
            Arrival::Delivery(report) => ("bounce", self.bounced(named, report).await),
            Arrival::Feedback(report) => ("complaint", self.complained(named, report).await),
        };
        let result = match &heard {
            Ok(Heard::Told { .. }) => "told",
            Ok(Heard::Success) => "success",
            Ok(Heard::Nothing(Nothing::Known)) => "known",
            Ok(Heard::Nothing(Nothing::NotFound)) => "not_found",
            Ok(Heard::Nothing(_)) => "ignored",
            Err(_) => "put_off",
        };
        metrics::report(what, result);
        match &heard {
            Ok(Heard::Told { kind, deliveries }) => tracing::info!(%kind, ?deliveries, "a report was told"),
            Ok(Heard::Success) => tracing::debug!("a report of success was noted"),
            Ok(Heard::Nothing(why)) => tracing::debug!(what, ?why, "nothing follows from a message to an address for reports"),
            Err(error) => tracing::info!(what, %error, "a report has to come again"),
        }
        heard
    }

    async fn bounced(&self, named: Option<Named>, report: &DeliveryReport) -> Result<Heard, InboundError> {
        let failed: Vec<&RecipientReport> = report.recipients.iter().filter(|recipient| recipient.action == Action::Failed).collect();
        let is_noted = self.succeeded(named, report).await?;
        if failed.is_empty() {
            return Ok(if is_noted { Heard::Success } else { Heard::Nothing(Nothing::NoFailure) });
        }
        let facts = |recipient: &RecipientReport, evidence| self.facts_of_bounce(report, recipient, evidence);
        let reported: Vec<_> = failed
            .into_iter()
            .map(|recipient| Reported {
                addresses: [Some(&recipient.recipient), recipient.original_recipient.as_ref()].into_iter().flatten().cloned().collect(),
                about: recipient,
            })
            .collect();
        self.tell(named, &report.original, EventKind::Bounced, &reported, facts).await
    }

    /// Notes the successes that a report tells of, if its token proves that it comes from the way of the message. False: there is nobody to tell.
    async fn succeeded(&self, named: Option<Named>, report: &DeliveryReport) -> Result<bool, InboundError> {
        let is_success = |recipient: &&RecipientReport| matches!(recipient.action, Action::Delivered | Action::Relayed | Action::Expanded);
        let those: Vec<&RecipientReport> = report.recipients.iter().filter(is_success).collect();
        if those.is_empty() {
            return Ok(false);
        }
        let mut tx = self.store.begin().await?;
        let Some((named, Evidence::Token)) = self.find(&mut tx, named, &report.original).await? else { return Ok(false) };
        let message = named.message();
        let known = table::recipients(&mut tx, message.uuid()).await?;
        let mut noted = serde_json::Map::new();
        for one in &those {
            let addresses = [Some(&one.recipient), one.original_recipient.as_ref()].into_iter().flatten().cloned().collect();
            let Some(row) = (Reported { addresses, about: &() }).find(&known, named, those.len() == 1) else { continue };
            let facts = json!({
                "action": one.action, "at": self.now(), "enhanced_status": one.status, "reply_code": one.code, "reply": one.diagnostic,
                "remote_mta": one.remote_mta.as_ref().or(report.reporting_mta.as_ref()),
            });
            noted.entry(row.rcpt_no.to_string()).or_insert(facts);
        }
        let (now, noted) = (self.clock.now(), Value::Object(noted));
        if noted == json!({}) || !notice::note_success(&mut tx, message.uuid(), &noted, now, first_id_at(now - FOUND_WITHIN)).await? {
            return Ok(false);
        }
        Store::commit(tx).await?;
        Ok(true)
    }

    async fn complained(&self, named: Option<Named>, report: &FeedbackReport) -> Result<Heard, InboundError> {
        if !report.kind.is_complaint() {
            return Ok(Heard::Nothing(Nothing::NoFailure));
        }
        let facts = |(): &(), evidence| {
            json!({
                "source": "report", "verified": evidence == Evidence::Token, "at": self.now(), "feedback_type": report.kind.name(), "user_agent": report.user_agent,
                "condemns_address": evidence == Evidence::Token,
            })
        };
        let mut reported: Vec<_> = report.recipients.iter().map(|address| Reported { addresses: vec![address.clone()], about: &() }).collect();
        if reported.is_empty() {
            // Who complains is kept secret: it is whom the token names, or the only one who got it.
            reported.push(Reported { addresses: Vec::new(), about: &() });
        }
        self.tell(named, &report.original, EventKind::Complained, &reported, facts).await
    }

    /// Writes an event about each recipient that the report names and the message had.
    async fn tell<T>(
        &self,
        named: Option<Named>,
        original: &Original,
        kind: EventKind,
        reported: &[Reported<'_, T>],
        facts: impl Fn(&T, Evidence) -> Value,
    ) -> Result<Heard, InboundError> {
        let mut tx = self.store.begin().await?;
        let Some((named, evidence)) = self.find(&mut tx, named, original).await? else { return Ok(Heard::Nothing(Nothing::NotFound)) };
        let message = named.message();
        let Some(project) = table::lock(&mut tx, message.uuid()).await? else { return Ok(Heard::Nothing(Nothing::NotFound)) };
        let known = table::recipients(&mut tx, message.uuid()).await?;
        // A bounce of several is not about the only recipient: who complains of a message that only one got, is that one.
        let may_be_only = kind == EventKind::Complained || reported.len() == 1;
        let mut rows: Vec<ReportedRow> = Vec::new();
        for one in reported {
            let Some(row) = one.find(&known, named, may_be_only) else { continue };
            if kind == EventKind::Bounced && row.active && evidence == Evidence::Token {
                return Err(InboundError::OnItsWay);
            }
            // What waits to be tried again is not over, whatever somebody reports of it.
            if kind == EventKind::Bounced && row.outstanding || rows.iter().any(|other| other.rcpt_no == row.rcpt_no) {
                continue;
            }
            let (id, data) = (self.clock.uuid(), facts(one.about, evidence));
            rows.push(ReportedRow { id, rcpt_no: row.rcpt_no, kind: kind.to_stored(), recipient: row.recipient.clone(), data });
        }
        if rows.is_empty() {
            return Ok(Heard::Nothing(Nothing::NotFound));
        }
        let new = table::insert(&mut tx, project, message.uuid(), &rows).await?;
        notice::wake(&mut tx, message.uuid(), self.clock.now()).await?;
        Store::commit(tx).await?;
        let deliveries =
            new.into_iter().filter_map(|rcpt_no| Some(DeliveryId { message, rcpt_no: u16::try_from(rcpt_no).ok()? })).collect::<Vec<_>>();
        Ok(if deliveries.is_empty() { Heard::Nothing(Nothing::Known) } else { Heard::Told { kind, deliveries } })
    }

    /// What a report is about, and how that is known.
    async fn find(&self, tx: &mut Tx, named: Option<Named>, original: &Original) -> Result<Option<(Named, Evidence)>, InboundError> {
        let within = || original.return_path.as_ref().and_then(|path| self.domains.read_bounce_address(path).ok());
        if let Some(named) = named.or_else(within) {
            return Ok(Some((named, Evidence::Token)));
        }
        let Some(header) = &original.message_id else { return Ok(None) };
        let own = header.split_once('@').and_then(|(local, _)| local.parse::<MessageId>().ok());
        let message = match own {
            Some(message) => Some(message),
            None => table::by_foreign_id(tx, header).await?.map(MessageId::from_uuid),
        };
        Ok(message.map(|message| (Named::Message(message), Evidence::MessageId)))
    }

    fn facts_of_bounce(&self, report: &DeliveryReport, recipient: &RecipientReport, evidence: Evidence) -> Value {
        let meaning = meaning(&self.rules, recipient);
        let class = meaning.map_or(BounceClass::Other, |meaning| meaning.class);
        let hard = meaning.is_some_and(|meaning| meaning.hard);
        let verified = evidence == Evidence::Token;
        json!({
            "source": "report", "verified": verified, "at": self.now(), "class": class, "hard": hard,
            "condemns_address": verified && class.condemns_address() && (hard || class != BounceClass::BadMailbox),
            "enhanced_status": recipient.status, "reply_code": recipient.code, "reply": recipient.diagnostic,
            "remote_mta": recipient.remote_mta, "reporting_mta": report.reporting_mta, "reported_recipient": recipient.recipient.to_string(),
        })
    }

    fn now(&self) -> String {
        self.clock.now().format(&Rfc3339).unwrap_or_default()
    }
}

/// Addresses of one recipient, and what is said about them.
struct Reported<'r, T> {
    addresses: Vec<EmailAddress>,
    about: &'r T,
}

impl<T> Reported<'_, T> {
    /// The recipient of the message that is meant: by token, by address, or because there is no other.
    fn find<'k>(&self, known: &'k [RecipientRow], named: Named, may_be_only: bool) -> Option<&'k RecipientRow> {
        if let Named::Delivery(delivery) = named {
            return known.iter().find(|row| u16::try_from(row.rcpt_no).is_ok_and(|rcpt_no| rcpt_no == delivery.rcpt_no));
        }
        let same = |row: &&RecipientRow| self.addresses.iter().any(|address| address.to_string().eq_ignore_ascii_case(&row.recipient));
        known.iter().find(same).or(match known {
            [only] if may_be_only => Some(only),
            _ => None,
        })
    }
}
