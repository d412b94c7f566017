//! Which records a domain has to publish.
//!
//! Answers: name and value of each. DKIM keys (RFC 6376 3.6.1), SPF for the domain and for its return path (RFC 7208), an MX for the return
//! path, DMARC with an address of ours for its reports (RFC 9989); where mail for the domain comes here, its MX, MTA-STS (RFC 8461) and TLS
//! reports (RFC 8460); where users submit as the domain, SRV (RFC 6186, RFC 8314 5.1).
//! Does not: look anything up (see [`super::check`]).

use super::delegation::Delegation;
use super::policy::{self, StsMode};
use super::record::{DnsRecord, RecordPurpose, RecordState, RecordType};
use super::settings::DomainSettings;
use crate::model::DomainName;

/// The label below a sending domain that bounces go to.
const RETURN_PATH_LABEL: &str = "bounce";
/// Who takes DMARC reports about a domain, at its return path.
pub const DMARC_REPORTS: &str = "dmarc-reports";
/// Who takes TLS reports about a domain, at its return path.
pub const TLS_REPORTS: &str = "tls-reports";

/// The domain of the reverse-path of mail from `domain`: `bounce.<domain>`, aligned with it (RFC 9989 5.3). None if that is too long.
#[must_use]
pub fn return_path(domain: &DomainName) -> Option<DomainName> {
    DomainName::parse(&format!("{RETURN_PATH_LABEL}.{domain}")).ok()
}

/// A DKIM key as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishedKey<'a> {
    /// Its selector.
    pub(super) selector: &'a str,
    /// Its record, whole.
    pub(super) record: &'a str,
}

/// What a domain is used for here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// Mail for it comes here.
    pub(super) receives: bool,
    /// Users submit mail as it.
    pub(super) submits: bool,
}

/// A domain, as far as its records depend on it.
#[derive(Clone, Debug)]
pub(super) struct Plan<'a> {
    pub(super) domain: &'a DomainName,
    pub(super) keys: &'a [PublishedKey<'a>],
    pub(super) delegation: Option<&'a Delegation>,
    pub(super) uses: Uses,
    pub(super) mta_sts: StsMode,
}

/// The name of a DKIM record (RFC 6376 3.6.2.1).
pub(super) fn dkim_name(selector: &str, domain: &DomainName) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// All records of a domain, in the order to publish them. Without a host name of ours only those that do not need one.
pub(super) fn expected(plan: &Plan<'_>, settings: &DomainSettings) -> Vec<DnsRecord> {
    let mut records = dkim(plan.domain, plan.keys, plan.delegation);
    // Reports of others come to the return path: the name below the domain that mail is taken for in any case.
    let reports = return_path(plan.domain).filter(|_| settings.takes_reports && settings.senders.hostname.is_some());
    sending(plan, settings, reports.as_ref(), &mut records);
    if let (true, true, Some(hostname)) = (plan.uses.receives, settings.takes_reports, &settings.senders.hostname) {
        receiving(plan, hostname, settings.policy_host.as_ref(), reports.as_ref(), &mut records);
    }
    if let (true, Some(hostname)) = (plan.uses.submits, &settings.senders.hostname) {
        let services = [
            ("_submissions", settings.submissions, RecordPurpose::SubmissionsSrv),
            ("_submission", settings.submission, RecordPurpose::SubmissionSrv),
        ];
        for (service, port, purpose) in services {
            let Some(port) = port else { continue };
            let name = format!("{service}._tcp.{}", plan.domain);
            records.push(DnsRecord::new(RecordType::Srv, name, format!("0 1 {port} {hostname}"), purpose));
        }
    }
    records
}

/// The DKIM records alone. CNAMEs stand in the domain's zone, all at once, so that it never changes again; what they lead to in the operator's.
pub(super) fn dkim(domain: &DomainName, keys: &[PublishedKey<'_>], delegation: Option<&Delegation>) -> Vec<DnsRecord> {
    let mut records = Vec::new();
    for selector in delegation.map(Delegation::all_selectors).unwrap_or_default() {
        let Some(target) = delegation.and_then(|delegation| delegation.target(&selector)) else { continue };
        records.push(DnsRecord::new(RecordType::Cname, dkim_name(&selector, domain), target, RecordPurpose::DkimDelegation));
    }
    for key in keys {
        let name = delegation.and_then(|delegation| delegation.target(key.selector)).unwrap_or_else(|| dkim_name(key.selector, domain));
        records.push(txt(name, key.record, RecordPurpose::Dkim));
    }
    records
}

/// Whether receivers find a key under its selector: its record stands, and so does what leads to it.
pub(super) fn key_state(records: &[DnsRecord], domain: &DomainName, key: &PublishedKey<'_>) -> RecordState {
    let (name, mut state) = (dkim_name(key.selector, domain), RecordState::Unknown);
    if let Some(record) = records.iter().find(|record| record.purpose == RecordPurpose::Dkim && record.value == key.record) {
        state = record.state;
    }
    let leads = records.iter().find(|record| record.purpose == RecordPurpose::DkimDelegation && record.name == name).map(|record| record.state);
    match (leads, state) {
        (Some(leads @ (RecordState::Missing | RecordState::Wrong)), _) => leads,
        (Some(RecordState::Unknown), RecordState::Ok) => RecordState::Unknown,
        (None | Some(RecordState::Ok | RecordState::Unknown), state) => state,
    }
}

fn sending(plan: &Plan<'_>, settings: &DomainSettings, reports: Option<&DomainName>, records: &mut Vec<DnsRecord>) {
    if let (Some(hostname), Some(terms)) = (&settings.senders.hostname, settings.senders.terms()) {
        // Soft fail: other systems of the owner may send too and are not in this record.
        records.push(txt(plan.domain.to_string(), &format!("v=spf1 {terms} ~all"), RecordPurpose::Spf));
        if let Some(return_path) = reports {
            records.push(mx(return_path, hostname, RecordPurpose::ReturnPathMx));
            records.push(txt(return_path.to_string(), &format!("v=spf1 {terms} -all"), RecordPurpose::ReturnPathSpf));
        }
    }
    let rua = reports.map_or_else(String::new, |return_path| format!("; rua=mailto:{DMARC_REPORTS}@{return_path}"));
    records.push(txt(format!("_dmarc.{}", plan.domain), &format!("v=DMARC1; p=none{rua}"), RecordPurpose::Dmarc));
}

fn receiving(plan: &Plan<'_>, hostname: &DomainName, policy_host: Option<&DomainName>, reports: Option<&DomainName>, records: &mut Vec<DnsRecord>) {
    let domain = plan.domain;
    records.push(mx(domain, hostname, RecordPurpose::InboundMx));
    if let Some(text) = policy::text(plan.mta_sts, hostname) {
        records.push(txt(format!("_mta-sts.{domain}"), &format!("v=STSv1; id={};", policy::id(&text)), RecordPurpose::MtaSts));
        // RFC 8461 8.2: a CNAME is how the owner of a domain leaves its policy to somebody else.
        let name = format!("mta-sts.{domain}");
        if let Some(host) = policy_host.filter(|host| host.as_str() != name) {
            records.push(DnsRecord::new(RecordType::Cname, name, host.to_string(), RecordPurpose::MtaStsHost));
        }
    }
    if let Some(return_path) = reports {
        let value = format!("v=TLSRPTv1; rua=mailto:{TLS_REPORTS}@{return_path}");
        records.push(txt(format!("_smtp._tls.{domain}"), &value, RecordPurpose::TlsReports));
    }
}

fn txt(name: String, value: &str, purpose: RecordPurpose) -> DnsRecord {
    DnsRecord::new(RecordType::Txt, name, value.to_owned(), purpose)
}

fn mx(name: &DomainName, host: &DomainName, purpose: RecordPurpose) -> DnsRecord {
    DnsRecord::new(RecordType::Mx, name.to_string(), format!("10 {host}"), purpose)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domains::spf::Senders;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    fn settings() -> DomainSettings {
        DomainSettings {
            senders: Senders { hostname: Some(name("mail.example.net")), egress: vec!["192.0.2.1".parse().unwrap()] },
            takes_reports: true,
            submission: Some(587),
            submissions: Some(465),
            policy_host: Some(name("api.example.net")),
            rotate_after: None,
        }
    }

    const KEYS: [PublishedKey<'static>; 2] = [
        PublishedKey { selector: "pp-a-rsa", record: "v=DKIM1; k=rsa; p=AA" },
        PublishedKey { selector: "pp-a-ed", record: "v=DKIM1; k=ed25519; p=BB" },
    ];

    fn lines(plan: &Plan<'_>, settings: &DomainSettings) -> String {
        let records = expected(plan, settings);
        records.iter().map(|record| format!("{} {} {}", record.name, record.kind.as_str(), record.value)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_domain_that_only_sends_publishes_its_keys_spf_dmarc_and_return_path() {
        let domain = name("example.com");
        let plan = Plan { domain: &domain, keys: &KEYS, delegation: None, uses: Uses::default(), mta_sts: StsMode::Enforce };
        insta::assert_snapshot!(lines(&plan, &settings()), @r"
        pp-a-rsa._domainkey.example.com TXT v=DKIM1; k=rsa; p=AA
        pp-a-ed._domainkey.example.com TXT v=DKIM1; k=ed25519; p=BB
        example.com TXT v=spf1 a:mail.example.net ip4:192.0.2.1 ~all
        bounce.example.com MX 10 mail.example.net
        bounce.example.com TXT v=spf1 a:mail.example.net ip4:192.0.2.1 -all
        _dmarc.example.com TXT v=DMARC1; p=none; rua=mailto:dmarc-reports@bounce.example.com
        ");
        let deaf = DomainSettings { takes_reports: false, ..settings() };
        let used = Plan { uses: Uses { receives: true, submits: false }, ..plan.clone() };
        for plan in [&plan, &used] {
            insta::allow_duplicates! {
                insta::assert_snapshot!(lines(plan, &deaf), @r"
                pp-a-rsa._domainkey.example.com TXT v=DKIM1; k=rsa; p=AA
                pp-a-ed._domainkey.example.com TXT v=DKIM1; k=ed25519; p=BB
                example.com TXT v=spf1 a:mail.example.net ip4:192.0.2.1 ~all
                _dmarc.example.com TXT v=DMARC1; p=none
                ");
            }
        }
        let nameless = DomainSettings { senders: Senders::default(), ..settings() };
        let all = Plan { uses: Uses { receives: true, submits: true }, ..plan };
        assert!(expected(&all, &nameless).iter().all(|record| matches!(record.purpose, RecordPurpose::Dkim | RecordPurpose::Dmarc)));
    }

    #[test]
    fn a_domain_that_receives_and_submits_publishes_where() {
        let domain = name("example.com");
        let uses = Uses { receives: true, submits: true };
        let plan = Plan { domain: &domain, keys: &[], delegation: None, uses, mta_sts: StsMode::Testing };
        insta::assert_snapshot!(lines(&plan, &settings()), @r"
        example.com TXT v=spf1 a:mail.example.net ip4:192.0.2.1 ~all
        bounce.example.com MX 10 mail.example.net
        bounce.example.com TXT v=spf1 a:mail.example.net ip4:192.0.2.1 -all
        _dmarc.example.com TXT v=DMARC1; p=none; rua=mailto:dmarc-reports@bounce.example.com
        example.com MX 10 mail.example.net
        _mta-sts.example.com TXT v=STSv1; id=86d55850e79aaa3fbd4e;
        mta-sts.example.com CNAME api.example.net
        _smtp._tls.example.com TXT v=TLSRPTv1; rua=mailto:tls-reports@bounce.example.com
        _submissions._tcp.example.com SRV 0 1 465 mail.example.net
        _submission._tcp.example.com SRV 0 1 587 mail.example.net
        ");
        let off = expected(&Plan { mta_sts: StsMode::Off, ..plan.clone() }, &settings());
        assert!(!off.iter().any(|record| matches!(record.purpose, RecordPurpose::MtaSts | RecordPurpose::MtaStsHost)));
        let own_host = expected(&plan, &DomainSettings { policy_host: Some(name("mta-sts.example.com")), ..settings() });
        assert!(!own_host.iter().any(|record| record.purpose == RecordPurpose::MtaStsHost), "a name is no alias of itself");
        let one_port = expected(&plan, &DomainSettings { submission: None, ..settings() });
        assert_eq!(one_port.iter().filter(|record| record.kind == RecordType::Srv).count(), 1);
    }

    #[test]
    fn delegated_keys_stand_in_the_operators_zone_and_count_if_the_way_to_them_stands_too() {
        use RecordState::{Missing, Ok, Unknown, Wrong};
        let domain = name("example.com");
        let delegation = Delegation::new(Uuid::nil(), &domain, &name("dkim.example.net")).unwrap();
        let key = PublishedKey { selector: "pp-222222-rsa-a", record: "v=DKIM1; k=rsa; p=AA" };
        let imported = PublishedKey { selector: "s2024", record: "v=DKIM1; k=rsa; p=CC" };
        let mut records = dkim(&domain, &[key.clone(), imported.clone()], Some(&delegation));
        let lines: Vec<String> = records.iter().map(|record| format!("{} {} {}", record.name, record.kind.as_str(), record.value)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        pp-222222-rsa-a._domainkey.example.com CNAME pp-222222-rsa-a.example.com.dkim.example.net
        pp-222222-rsa-b._domainkey.example.com CNAME pp-222222-rsa-b.example.com.dkim.example.net
        pp-222222-ed-a._domainkey.example.com CNAME pp-222222-ed-a.example.com.dkim.example.net
        pp-222222-ed-b._domainkey.example.com CNAME pp-222222-ed-b.example.com.dkim.example.net
        pp-222222-rsa-a.example.com.dkim.example.net TXT v=DKIM1; k=rsa; p=AA
        s2024._domainkey.example.com TXT v=DKIM1; k=rsa; p=CC
        ");
        let mut state_of = |leads, stands, key| {
            records[0].state = leads;
            for record in records.iter_mut().filter(|record| record.purpose == RecordPurpose::Dkim) {
                record.state = stands;
            }
            key_state(&records, &domain, key)
        };
        for (leads, stands, state) in [
            (Ok, Ok, Ok),
            (Missing, Ok, Missing),
            (Wrong, Ok, Wrong),
            (Ok, Missing, Missing),
            (Unknown, Ok, Unknown),
            (Ok, Unknown, Unknown),
            (Unknown, Wrong, Wrong),
            (Missing, Unknown, Missing),
        ] {
            assert_eq!(state_of(leads, stands, &key), state, "{leads:?} {stands:?}");
        }
        assert_eq!(state_of(Missing, Ok, &imported), Ok, "a key of another making stands in the domain's own zone");
    }
}
