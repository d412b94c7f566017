//! One session with one host, as TLS policy wants it.
//!
//! Answers: an open session with what is known of its TLS, or how the attempt at this host ends. Gathers what [`tls_policy`] decides by,
//! connects (see `departure`), goes on in the clear only where that is allowed, and tells `transit` what came of it. What the recipients'
//! domain wants of its hosts, and is reported, is not about a smart host: that is held to the operator's word.
//! Does not: choose hosts (see `plan`) or decide (see `tls_policy`).

use std::net::IpAddr;
use std::sync::Arc;

use super::attempt::Ending;
use super::class::Rules;
use super::engine::Engine;
use super::fair::Work;
use super::job::Job;
use super::plan::Target;
use super::smart_host::SmartHost;
use super::tls_policy::{self, Decision, Demand, Knowledge, PolicyFault};
use super::verdict::{self, Verdict};
use crate::model::DomainName;
use crate::model::message::TlsNeed;
use crate::model::outcome::{Outcome, Stage, TlsPolicy, TlsResult};
use crate::net::certificate::{Inspector, Proof, Unproven};
use crate::net::dane::{self, Dane};
use crate::net::dnssec::Security;
use crate::net::mta_sts::Mode;
use crate::smtp::client::{Cause, Fault, Session, Settings, TlsUse};
use crate::telemetry::metrics;
use crate::transit::results::{Facts, Failure, PolicyType, ResultType};
use crate::transit::{Sts, StsFault};

/// What a domain wants of all its hosts, and a message of all of them.
#[derive(Clone, Debug)]
pub(super) struct DomainTls {
    domain: DomainName,
    need: TlsNeed,
    sts: Sts,
    /// The host is this one.
    smart_host: Option<Arc<SmartHost>>,
}

/// What an attempt tells of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// Version, cipher suite and key exchange; none in clear text.
    pub got: Option<String>,
    /// Why TLS was used as it was.
    pub policy: Option<TlsPolicy>,
    /// What came of that.
    pub result: Option<TlsResult>,
}

/// What an open session is good for.
#[derive(Clone, Debug)]
pub(super) struct SessionTls {
    /// The domain whose policy it was made by; none: that of a smart host.
    domain: Option<DomainName>,
    need: TlsNeed,
    pub(super) facts: TlsFacts,
}

impl SessionTls {
    /// True if a message for `domain` that wants `need` may go in this session. A session made for another domain may have been
    /// made under a weaker policy; one with a smart host is good for all that go there.
    pub(super) fn serves(&self, domain: &DomainName, need: TlsNeed) -> bool {
        let is_enough = match need {
            TlsNeed::Waived => true,
            TlsNeed::ByPolicy => self.need != TlsNeed::Waived,
            TlsNeed::Required => self.need == TlsNeed::Required,
        };
        self.domain.as_ref().is_none_or(|own| own == domain) && is_enough
    }
}

/// A session that is open.
pub(super) struct Connected {
    pub(super) session: Session,
    pub(super) tls: SessionTls,
    /// The address it left from.
    pub(super) from: Option<IpAddr>,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) ending: Ending,
    pub(super) facts: TlsFacts,
    /// The address that was used, if one could be.
    pub(super) from: Option<IpAddr>,
    /// None of our source addresses could be used: it says nothing about the host.
    pub(super) is_of_source: bool,
}

/// What a session with one host has to be, and how it is watched.
struct HostTls {
    decision: Decision,
    inspector: Option<Arc<Inspector>>,
    /// TLS from the first octet.
    is_implicit: bool,
    server_name: String,
    report: Facts,
}

/// How a try at a session ended.
struct Tried {
    session: Result<Session, Ending>,
    /// STARTTLS was not offered, or refused.
    is_unsupported: bool,
    /// Our address, once connected.
    from: Option<IpAddr>,
    /// None of our source addresses could be used.
    is_of_source: bool,
}

impl Engine {
    /// What holds for all hosts of a job's domain: its MTA-STS policy. A smart host is the operator's choice, whatever the recipients'
    /// domains say.
    pub(super) async fn domain_tls(&self, job: &Job) -> DomainTls {
        let smart_host = job.route.smart_host.clone();
        let sts = if smart_host.is_none() { self.parts.transit.sts(&job.domain).await } else { Sts::default() };
        DomainTls { domain: job.domain.clone(), need: job.message.tls, sts, smart_host }
    }

    /// True if a job for another domain may go in a session with this target: what its own policy wants of this host, the session is.
    /// A session that has to be proven is made for the domain itself.
    pub(super) async fn may_share(&self, tls: &SessionTls, target: &Target, job: &Job) -> bool {
        if tls.need != TlsNeed::ByPolicy || job.message.tls != TlsNeed::ByPolicy {
            return false;
        }
        // Whether DNSSEC leads to the host is a matter of the domain.
        let targets = self.targets(&job.domain, job.priority(), &job.route).await.unwrap_or_default();
        let Some(own) = targets.into_iter().find(|own| own.host == target.host && own.address == target.address) else { return false };
        let wanted = self.domain_tls(job).await;
        if wanted.sts.policy.is_some() {
            return false;
        }
        match self.host_tls(&wanted, &own).await.map(|host| host.decision.demand) {
            Ok(Demand::IfOffered) => true,
            Ok(Demand::Encrypted) => tls.facts.got.is_some(),
            Ok(Demand::Never) => tls.facts.got.is_none(),
            Ok(Demand::Proven(_)) | Err(_) => false,
        }
    }

    /// Opens a session with one host.
    pub(super) async fn connect(&self, wanted: &DomainTls, target: &Target, transcript: &mut Vec<String>) -> Result<Connected, Refused> {
        self.report_policy_fault(wanted);
        let host = match self.host_tls(wanted, target).await {
            Ok(host) => host,
            Err(fault) => {
                transcript.push(format!("* {}: {fault}", target.host));
                return Err(self.forbidden(wanted, target, &fault));
            }
        };
        let mut tried = self.try_session(wanted, target, &host, self.tls_use(&host), transcript).await;
        let result = self.told(wanted, target, &host, &tried).await;
        let may_go_clear = matches!(host.decision.demand, Demand::IfOffered);
        let mut facts = TlsFacts { got: None, policy: Some(host.decision.policy), result };
        if let (Err(ending), true) = (&tried.session, may_go_clear)
            && ending.stage == Stage::Tls
        {
            // Opportunistic TLS (RFC 7435): a handshake that fails must not keep the message from being sent at all.
            tracing::info!(host = target.host, reply = ending.reply, "TLS failed; trying again in the clear");
            tried = self.try_session(wanted, target, &host, TlsUse::Off, transcript).await;
            if tried.session.is_ok() {
                facts.result = Some(TlsResult::Clear);
            }
        }
        let Tried { from, is_of_source, .. } = tried;
        match tried.session {
            Ok(session) => {
                if session.tls_facts().is_none() && may_go_clear {
                    self.parts.transit.gave_tls_up(&target.host).await;
                }
                if wanted.need == TlsNeed::Required && !session.extensions().require_tls {
                    session.quit().await;
                    let fault = PolicyFault::RequireTlsMissing;
                    transcript.push(format!("* {}: {fault}", target.host));
                    return Err(Refused { from, ..self.forbidden(wanted, target, &fault) });
                }
                facts.got = session.tls_facts().map(str::to_owned);
                let domain = wanted.smart_host.is_none().then(|| wanted.domain.clone());
                Ok(Connected { session, tls: SessionTls { domain, need: wanted.need, facts }, from })
            }
            Err(ending) => Err(Refused { ending: hardened(&self.parts.rules, wanted.need, ending), facts, from, is_of_source }),
        }
    }

    async fn host_tls(&self, wanted: &DomainTls, target: &Target) -> Result<HostTls, PolicyFault> {
        let parts = &self.parts;
        if let Some(host) = &wanted.smart_host
            && let Some(decision) = host.decide(wanted.need, parts.transit.authorities())
        {
            let inspector = match &decision.demand {
                Demand::Proven(proof) => Some(Inspector::new(proof.clone(), Unproven::Refuse)),
                _ => None,
            };
            let report = report_head(&Dane::Absent, &wanted.sts);
            return Ok(HostTls { decision, inspector, is_implicit: host.is_implicit(), server_name: target.host.clone(), report });
        }
        let settings = parts.transit.settings();
        let dane = if settings.dane && wanted.need != TlsNeed::Waived && target.security == Security::Secure {
            dane::look_up(&parts.resolver, &target.host, target.address.port(), wanted.domain.as_str()).await
        } else {
            Dane::Absent
        };
        let named = if wanted.smart_host.is_none() { wanted.domain.as_str() } else { &target.host };
        let known = Knowledge {
            host: &target.host,
            security: target.security,
            need: wanted.need,
            dane: &dane,
            sts: wanted.sts.policy.as_ref().map(|known| &known.policy),
            setting: tls_policy::setting(settings, named),
            is_remembered: parts.transit.binds(&target.host).await,
        };
        let decision = tls_policy::decide(&known, parts.transit.authorities())?;
        let is_testing = wanted.sts.policy.as_ref().is_some_and(|known| known.policy.mode == Mode::Testing) && wanted.need == TlsNeed::ByPolicy;
        let inspector = match &decision.demand {
            Demand::Proven(proof) => Some(Inspector::new(proof.clone(), Unproven::Refuse)),
            Demand::IfOffered | Demand::Encrypted if is_testing => {
                Some(Inspector::new(Proof::Authority(parts.transit.authorities().clone()), Unproven::Tell))
            }
            _ => None,
        };
        let server_name = match &dane {
            Dane::Records(records) => records.base.clone(),
            _ => target.host.clone(),
        };
        Ok(HostTls { report: report_head(&dane, &wanted.sts), decision, inspector, is_implicit: false, server_name })
    }

    fn tls_use(&self, host: &HostTls) -> TlsUse {
        let config = || host.inspector.as_ref().map_or_else(|| Arc::clone(&self.parts.tls), |inspector| inspector.config(&self.parts.clock));
        match host.decision.demand {
            Demand::Never => TlsUse::Off,
            Demand::IfOffered => TlsUse::Opportunistic(config()),
            Demand::Encrypted | Demand::Proven(_) if host.is_implicit => TlsUse::Implicit(config()),
            Demand::Encrypted | Demand::Proven(_) => TlsUse::Require(config()),
        }
    }

    async fn try_session(&self, wanted: &DomainTls, target: &Target, host: &HostTls, tls: TlsUse, transcript: &mut Vec<String>) -> Tried {
        let parts = &self.parts;
        let departure = match self.depart(target, transcript).await {
            Ok(departure) => departure,
            Err(error) => {
                transcript.push(format!("* {}: {error}", target.address));
                let ending = Ending {
                    stage: Stage::Connect,
                    reply: error.to_string(),
                    verdict: verdict::verdict(&parts.rules, Stage::Connect, &error, Some(&target.host)),
                };
                return Tried { session: Err(ending), is_unsupported: false, from: None, is_of_source: error.is_of_the_source() };
            }
        };
        transcript.push(format!("* connected to {} [{}]", target.host, target.address));
        let from = departure.source;
        let login = wanted.smart_host.as_ref().and_then(|host| host.login.clone());
        let settings = Settings { ehlo_name: departure.ehlo_name, tls, timeouts: parts.timeouts, server_name: host.server_name.clone(), login };
        match Session::open(departure.stream, &settings, &parts.clock).await {
            Ok(mut session) => {
                transcript.append(&mut session.take_transcript());
                let is_unsupported = session.tls_facts().is_none();
                Tried { session: Ok(session), is_unsupported, from, is_of_source: false }
            }
            Err(mut failure) => {
                transcript.append(&mut failure.transcript);
                if let Cause::Fault(fault) = &failure.cause {
                    transcript.push(format!("* {fault}"));
                }
                let is_unsupported = failure.stage == Stage::Tls && matches!(failure.cause, Cause::Reply(_) | Cause::Fault(Fault::TlsNotOffered));
                let verdict: Verdict = verdict::verdict(&parts.rules, failure.stage, &failure.cause, Some(&target.host));
                let reply = match failure.stage {
                    Stage::Auth => format!("the smart host does not take our login: {}", failure.cause),
                    _ => failure.cause.to_string(),
                };
                Tried { session: Err(Ending { stage: failure.stage, reply, verdict }), is_unsupported, from, is_of_source: false }
            }
        }
    }

    /// What came of TLS, told to the memory, the report and the figures; none if it did not come to TLS.
    async fn told(&self, wanted: &DomainTls, target: &Target, host: &HostTls, tried: &Tried) -> Option<TlsResult> {
        let transit = &self.parts.transit;
        let found = host.inspector.as_ref().and_then(|inspector| inspector.found());
        let policy = host.decision.policy;
        let result = match (&tried.session, &found) {
            (Err(ending), _) if ending.stage != Stage::Tls => return None,
            (Ok(session), Some(Ok(()))) if session.tls_facts().is_some() => TlsResult::Verified,
            (Ok(session), _) if session.tls_facts().is_some() => TlsResult::Encrypted,
            (Ok(_), _) => TlsResult::Clear,
            (Err(_), Some(Err(fault))) => tls_policy::result_of(fault),
            (Err(_), _) if tried.is_unsupported => TlsResult::StarttlsNotSupported,
            (Err(_), _) => TlsResult::HandshakeFailed,
        };
        metrics::tls_session(policy, result);
        match &tried.session {
            Ok(session) if session.tls_facts().is_some() => transit.spoke_tls(&target.host).await,
            Err(_) if policy == TlsPolicy::Remembered => transit.missed_tls(&target.host).await,
            _ => {}
        }
        if let (Err(ending), false) = (&tried.session, matches!(host.decision.demand, Demand::IfOffered)) {
            tracing::warn!(domain = %wanted.domain, host = target.host, ?policy, ?result, reply = ending.reply, "TLS policy keeps mail from this host");
        }
        if wanted.need == TlsNeed::ByPolicy && policy != TlsPolicy::Off && wanted.smart_host.is_none() {
            self.report_session(wanted, target, host, tried, result);
        }
        Some(result)
    }

    fn report_session(&self, wanted: &DomainTls, target: &Target, host: &HostTls, tried: &Tried, result: TlsResult) {
        let found = host.inspector.as_ref().and_then(|inspector| inspector.found());
        // In mode testing a fault is told although the session goes on.
        let unlisted = wanted.sts.policy.as_ref().filter(|known| host.report.policy == PolicyType::Sts && !known.policy.lists(&target.host));
        let (kind, detail) = match (&found, &tried.session) {
            (Some(Err(fault)), _) => (Some(report_type(tls_policy::result_of(fault))), fault.to_string()),
            _ if unlisted.is_some() => (Some(ResultType::ValidationFailure), PolicyFault::NotListed(target.host.clone()).to_string()),
            (_, Err(ending)) => (Some(report_type(result)), ending.reply.clone()),
            (_, Ok(_)) if result == TlsResult::Clear => (Some(ResultType::StarttlsNotSupported), "the session went on in the clear".to_owned()),
            _ => (None, String::new()),
        };
        let failure = kind.map(|result| Failure {
            result,
            sending_ip: tried.from,
            mx_host: Some(target.host.clone()),
            mx_ip: Some(target.address.ip()),
            detail,
        });
        self.parts.transit.count(&wanted.domain, Facts { failure, ..host.report.clone() });
    }

    /// A host that policy forbids before anything is said to it.
    fn forbidden(&self, wanted: &DomainTls, target: &Target, fault: &PolicyFault) -> Refused {
        metrics::tls_session(fault.policy(), fault.result());
        tracing::warn!(domain = %wanted.domain, host = target.host, %fault, "TLS policy keeps mail from this host");
        let kind = match fault {
            PolicyFault::NotListed(_) => Some((ResultType::ValidationFailure, report_head(&Dane::Absent, &wanted.sts))),
            PolicyFault::TlsaUnavailable { .. } => {
                Some((ResultType::DnssecInvalid, Facts { policy: PolicyType::Tlsa, text: Vec::new(), mx: Vec::new(), failure: None }))
            }
            PolicyFault::RequireTls(_) | PolicyFault::RequireTlsMissing => None,
        };
        if let (Some((result, head)), TlsNeed::ByPolicy, None) = (kind, wanted.need, &wanted.smart_host) {
            let failure = Failure { result, sending_ip: None, mx_host: Some(target.host.clone()), mx_ip: None, detail: fault.to_string() };
            self.parts.transit.count(&wanted.domain, Facts { failure: Some(failure), ..head });
        }
        let verdict = verdict::verdict(&self.parts.rules, Stage::Tls, fault, Some(&target.host));
        let ending = Ending { stage: Stage::Tls, reply: fault.to_string(), verdict };
        let facts = TlsFacts { got: None, policy: Some(fault.policy()), result: Some(fault.result()) };
        Refused { ending, facts, from: None, is_of_source: false }
    }

    /// Counts that the domain's MTA-STS policy cannot be had.
    fn report_policy_fault(&self, wanted: &DomainTls) {
        let Some(fault) = &wanted.sts.fault else { return };
        let result = match fault {
            StsFault::Fetch(_) => ResultType::StsPolicyFetchError,
            StsFault::Invalid(_) => ResultType::StsPolicyInvalid,
            StsFault::Certificate(_) => ResultType::StsWebpkiInvalid,
        };
        let failure = Failure { result, sending_ip: None, mx_host: None, mx_ip: None, detail: fault.to_string() };
        let head = Facts { policy: PolicyType::Sts, text: Vec::new(), mx: Vec::new(), failure: Some(failure) };
        self.parts.transit.count(&wanted.domain, head);
    }
}

/// What REQUIRETLS makes of a session that cannot be had: the message bounces when no host is left (RFC 8689 4.2.1).
fn hardened(rules: &Rules, need: TlsNeed, ending: Ending) -> Ending {
    if need == TlsNeed::Required && ending.stage == Stage::Tls && ending.verdict.outcome == Outcome::Deferred {
        let fault = PolicyFault::RequireTls(ending.reply);
        return Ending { stage: Stage::Tls, reply: fault.to_string(), verdict: verdict::verdict(rules, Stage::Tls, &fault, None) };
    }
    ending
}

/// The policy as a report tells it.
fn report_head(dane: &Dane, sts: &Sts) -> Facts {
    let (policy, text, mx) = match (dane, &sts.policy) {
        (Dane::Records(records), _) => (PolicyType::Tlsa, records.texts(), Vec::new()),
        (Dane::Unusable | Dane::Unknown(_), _) => (PolicyType::Tlsa, Vec::new(), Vec::new()),
        (Dane::Absent, Some(known)) => (PolicyType::Sts, known.lines.clone(), known.policy.mx.clone()),
        (Dane::Absent, None) => (PolicyType::NoPolicyFound, Vec::new(), Vec::new()),
    };
    Facts { policy, text, mx, failure: None }
}

const fn report_type(result: TlsResult) -> ResultType {
    match result {
        TlsResult::StarttlsNotSupported => ResultType::StarttlsNotSupported,
        TlsResult::CertificateHostMismatch => ResultType::CertificateHostMismatch,
        TlsResult::CertificateExpired => ResultType::CertificateExpired,
        TlsResult::CertificateNotTrusted => ResultType::CertificateNotTrusted,
        TlsResult::TlsaUnavailable => ResultType::DnssecInvalid,
        _ => ResultType::ValidationFailure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_serves_messages_that_want_no_more_than_it_gives() {
        use TlsNeed::{ByPolicy, Required, Waived};
        let [domain, other] = ["example.com", "example.net"].map(|name| DomainName::parse(name).unwrap());
        for (made_for, wanted, serves) in [
            (ByPolicy, ByPolicy, true),
            (ByPolicy, Waived, true),
            (ByPolicy, Required, false),
            (Required, ByPolicy, true),
            (Required, Required, true),
            (Waived, Waived, true),
            (Waived, ByPolicy, false),
            (Waived, Required, false),
        ] {
            let session = SessionTls { domain: Some(domain.clone()), need: made_for, facts: TlsFacts::default() };
            assert_eq!(session.serves(&domain, wanted), serves, "{made_for:?} {wanted:?}");
            assert!(!session.serves(&other, wanted), "another domain may have another policy");
            let session = SessionTls { domain: None, ..session };
            assert_eq!(session.serves(&other, wanted), serves, "a smart host serves all domains: {made_for:?} {wanted:?}");
        }
    }
}
