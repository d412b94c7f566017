//! The table of decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::net::dane::DaneRecords;
use crate::net::dnssec::Tlsa;

fn dane(word: &str) -> Dane {
    match word {
        "records" => {
            let record = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] };
            Dane::Records(DaneRecords::usable(&[record], "mx.example", &[]).unwrap())
        }
        "unusable" => Dane::Unusable,
        "unknown" => Dane::Unknown("SERVFAIL".to_owned()),
        _ => Dane::Absent,
    }
}

fn sts(word: &str) -> Option<Policy> {
    let (mode, host) = word.split_once(' ').unwrap_or((word, "mx.example"));
    let mode = match mode {
        "enforce" => Mode::Enforce,
        "testing" => Mode::Testing,
        _ => return None,
    };
    Some(Policy { mode, mx: vec![host.to_owned()], max_age: Duration::from_secs(1) })
}

/// Policy and demand in one line, or the fault.
fn told(decided: Result<Decision, PolicyFault>) -> String {
    match decided {
        Err(fault) => format!("refused: {:?}", fault.result()),
        Ok(Decision { policy, demand }) => {
            let demand = match demand {
                Demand::Never => "clear",
                Demand::IfOffered => "if offered",
                Demand::Encrypted => "encrypted",
                Demand::Proven(Proof::Authority(_)) => "proven by name",
                Demand::Proven(Proof::Dane(_)) => "proven by TLSA",
            };
            format!("{policy:?}: {demand}")
        }
    }
}

#[test]
fn the_strictest_word_that_applies_decides() {
    use TlsNeed::{ByPolicy, Required, Waived};
    use TlsSetting::{Off, Prefer, Require, Verify};
    let rows = [
        // need, DANE, MTA-STS, setting, remembered, decision
        (ByPolicy, "absent", "none", Prefer, false, "Prefer: if offered"),
        (ByPolicy, "absent", "none", Prefer, true, "Remembered: encrypted"),
        (ByPolicy, "absent", "none", Require, true, "Require: encrypted"),
        (ByPolicy, "absent", "none", Verify, false, "Verify: proven by name"),
        (ByPolicy, "absent", "none", Off, true, "Off: clear"),
        (ByPolicy, "absent", "enforce", Off, false, "MtaSts: proven by name"),
        (ByPolicy, "absent", "enforce other.example", Prefer, false, "refused: MxNotListed"),
        (ByPolicy, "absent", "testing", Prefer, false, "MtaStsTesting: if offered"),
        (ByPolicy, "absent", "testing other.example", Prefer, false, "MtaStsTesting: if offered"),
        (ByPolicy, "absent", "testing", Prefer, true, "Remembered: encrypted"),
        (ByPolicy, "absent", "testing", Require, false, "Require: encrypted"),
        (ByPolicy, "records", "none", Prefer, false, "Dane: proven by TLSA"),
        (ByPolicy, "records", "enforce other.example", Off, false, "Dane: proven by TLSA"),
        (ByPolicy, "unusable", "none", Off, false, "Dane: encrypted"),
        (ByPolicy, "unknown", "enforce", Prefer, false, "refused: TlsaUnavailable"),
        (Waived, "records", "enforce other.example", Prefer, true, "Waived: if offered"),
        (Waived, "unknown", "enforce", Prefer, true, "Waived: if offered"),
        (Waived, "absent", "none", Require, false, "Require: encrypted"),
        (Waived, "absent", "none", Verify, false, "Verify: proven by name"),
        (Required, "records", "none", Off, false, "RequireTls: proven by TLSA"),
        (Required, "absent", "enforce", Prefer, false, "RequireTls: proven by name"),
        (Required, "absent", "testing", Prefer, false, "RequireTls: proven by name"),
        (Required, "absent", "testing other.example", Prefer, false, "refused: RequireTlsNotSupported"),
        (Required, "absent", "enforce other.example", Prefer, false, "refused: RequireTlsNotSupported"),
        (Required, "absent", "none", Verify, false, "refused: RequireTlsNotSupported"),
        (Required, "unknown", "none", Prefer, false, "refused: TlsaUnavailable"),
    ];
    let authorities = Authorities::public();
    for (need, dane_word, sts_word, setting, is_remembered, decision) in rows {
        let (dane, sts) = (dane(dane_word), sts(sts_word));
        let security = Security::Insecure;
        let known = Knowledge { host: "mx.example", security, need, dane: &dane, sts: sts.as_ref(), setting, is_remembered };
        assert_eq!(told(decide(&known, &authorities)), decision, "{need:?} {dane_word} {sts_word} {setting:?} {is_remembered}");
    }
}

#[test]
fn a_proven_host_name_is_enough_for_requiretls() {
    let authorities = Authorities::public();
    for (word, decision) in [("absent", "RequireTls: proven by name"), ("unusable", "RequireTls: proven by name")] {
        let dane = dane(word);
        let known = Knowledge {
            host: "mx.example",
            security: Security::Secure,
            need: TlsNeed::Required,
            dane: &dane,
            sts: None,
            setting: TlsSetting::Prefer,
            is_remembered: false,
        };
        assert_eq!(told(decide(&known, &authorities)), decision, "{word}");
    }
}

#[test]
fn the_longest_name_that_fits_has_the_operators_word() {
    let mut settings = crate::config::Config::default().delivery_tls;
    settings.domains = BTreeMap::from([
        ("a.example.com".to_owned(), TlsSetting::Off),
        (".example.com".to_owned(), TlsSetting::Require),
        (".com".to_owned(), TlsSetting::Verify),
    ]);
    for (domain, found) in [
        ("a.example.com", TlsSetting::Off),
        ("b.example.com", TlsSetting::Require),
        ("c.b.example.com", TlsSetting::Require),
        ("example.com", TlsSetting::Verify),
        ("example.net", TlsSetting::Prefer),
    ] {
        assert_eq!(setting(&settings, domain), found, "{domain}");
    }
}
