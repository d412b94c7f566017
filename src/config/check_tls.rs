//! Doubtful values of `[tls]`. Does not: read the files named there; `serve` does.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::check::Doubts;
use super::{AcmeChallenge, Config, Tls};
use crate::model::{DomainName, EmailAddress};

/// Names of one certificate, as the authorities have it.
const MAX_NAMES: usize = 100;

pub(super) fn tls(doubts: &mut Doubts<'_>, config: &Config) {
    let tls = &config.tls;
    let (certificates, keys) = (tls.certificate_files.len(), tls.key_files.len());
    let what = format!("names {keys}, while tls.certificate_files names {certificates}");
    doubts.add(certificates != keys, "tls.key_files", what, "name one key for each certificate, in the same order");
    if tls.directory().is_none() {
        return without_acme(doubts, tls);
    }
    authority(doubts, tls);
    names(doubts, config);
    account(doubts, tls);
    dns(doubts, tls);
}

/// Options that nobody would set who does not want ACME.
fn without_acme(doubts: &mut Doubts<'_>, tls: &Tls) {
    for (option, is_set) in [
        ("tls.acme_contact", !tls.acme_contact.is_empty()),
        ("tls.acme_names", !tls.acme_names.is_empty()),
        ("tls.acme_eab_kid", !tls.acme_eab_kid.is_empty()),
        ("tls.acme_ca_file", !tls.acme_ca_file.as_os_str().is_empty()),
        ("tls.acme_dns_hook", !tls.acme_dns_hook.as_os_str().is_empty()),
        ("tls.acme_dns_server", !tls.acme_dns_server.is_empty()),
    ] {
        doubts.add(is_set, option, "is set, while tls.acme is empty", "set tls.acme = \"letsencrypt\", or leave the line out");
    }
}

fn authority(doubts: &mut Doubts<'_>, tls: &Tls) {
    let is_named = matches!(tls.acme.as_str(), "letsencrypt" | "letsencrypt-staging");
    let host = tls.acme.strip_prefix("https://").map_or("", |rest| rest.split(['/', ':']).next().unwrap_or_default());
    let sound = is_named || (!host.is_empty() && !tls.acme.contains(char::is_whitespace));
    let fix = "use \"letsencrypt\", \"letsencrypt-staging\" to try things out, or the https:// URL of another authority's directory";
    doubts.add(!sound, "tls.acme", format!("is {:?}", tls.acme), fix);
    let odd = is_named && !tls.acme_ca_file.as_os_str().is_empty();
    doubts.add(odd, "tls.acme_ca_file", "is set for an authority that the public ones vouch for", "leave the line out");
    if let (false, Err(error)) = (tls.acme_contact.is_empty(), EmailAddress::parse(&tls.acme_contact)) {
        doubts.add(true, "tls.acme_contact", format!("is {:?}: {error}", tls.acme_contact), "write a mail address, or leave the line out");
    }
}

fn names(doubts: &mut Doubts<'_>, config: &Config) {
    let tls = &config.tls;
    let names = tls.wanted_names(&config.server.hostname);
    let fix = "set server.hostname, or list the names under tls.acme_names";
    doubts.add(names.is_empty(), "tls.acme_names", "is empty, and so is server.hostname", fix);
    doubts.add(names.len() > MAX_NAMES, "tls.acme_names", format!("has {} names", names.len()), format!("use {MAX_NAMES} or fewer"));
    for name in &names {
        let domain = name.strip_prefix("*.").unwrap_or(name);
        let sound = DomainName::parse(domain).is_ok_and(|parsed| parsed.as_str() == domain) && domain.contains('.');
        let fix = "write whole names in A-labels, like \"mail.example.com\" or \"*.example.com\"";
        doubts.add(!sound, "tls.acme_names", format!("holds {name:?}"), fix);
        let unprovable = name.starts_with("*.") && tls.acme_challenge != AcmeChallenge::Dns01;
        let what = format!("holds {name:?}, and authorities give certificates for all names below another only by dns-01");
        doubts.add(unprovable, "tls.acme_names", what, "set tls.acme_challenge = \"dns-01\", or list the names one by one");
    }
}

fn account(doubts: &mut Doubts<'_>, tls: &Tls) {
    let (kid, key) = (&tls.acme_eab_kid, tls.acme_eab_key.expose());
    doubts.add(kid.is_empty() != key.is_empty(), "tls.acme_eab_kid", "is set without tls.acme_eab_key, or the other way round", "set both, or none");
    let sound = URL_SAFE_NO_PAD.decode(key.trim_end_matches('=')).is_ok();
    doubts.add(!sound, "tls.acme_eab_key", "is not base64url", "copy the HMAC key as the authority shows it");
}

fn dns(doubts: &mut Doubts<'_>, tls: &Tls) {
    let (hook, server) = (&tls.acme_dns_hook, &tls.acme_dns_server);
    let is_dns = tls.acme_challenge == AcmeChallenge::Dns01;
    let neither = hook.as_os_str().is_empty() && server.is_empty();
    let fix = "set tls.acme_dns_hook, or tls.acme_dns_server with its key";
    doubts.add(is_dns && neither, "tls.acme_challenge", "is \"dns-01\", and nothing is named that publishes the records", fix);
    let both = !hook.as_os_str().is_empty() && !server.is_empty();
    doubts.add(both, "tls.acme_dns_hook", "is set beside tls.acme_dns_server", "leave one of them out");
    let idle = !is_dns && !neither;
    let option = if server.is_empty() { "tls.acme_dns_hook" } else { "tls.acme_dns_server" };
    doubts.add(idle, option, format!("is set, while tls.acme_challenge is {:?}", tls.acme_challenge.as_str()), "set tls.acme_challenge = \"dns-01\"");
    let relative = !hook.as_os_str().is_empty() && !hook.is_absolute();
    doubts.add(relative, "tls.acme_dns_hook", format!("is {:?}", hook.display().to_string()), "write the whole path, from / on");
    if !server.is_empty() {
        let sound = server.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0);
        doubts.add(!sound, "tls.acme_dns_server", format!("is {server:?}"), "write address:port, like \"192.0.2.53:53\"");
        let key_name = &tls.acme_dns_key_name;
        // A name as zones have them, but of one label too.
        let is_label =
            |label: &str| (1..64).contains(&label.len()) && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
        let sound = key_name.len() < 254 && key_name.trim_end_matches('.').split('.').all(is_label);
        doubts.add(!sound, "tls.acme_dns_key_name", format!("is {key_name:?}"), "write the name of the TSIG key as the server has it");
        let key = tls.acme_dns_key.expose();
        let sound = STANDARD.decode(key).is_ok_and(|octets| octets.len() >= 16);
        doubts.add(!sound, "tls.acme_dns_key", "is no TSIG key of 16 octets or more in base64", "copy the secret that `tsig-keygen` printed");
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::environment::Environment;
    use crate::config::load::read;

    fn complaint(lines: &str) -> String {
        let text = format!("[server]\nhostname = \"mail.example.com\"\n[tls]\n{lines}");
        let read = read(&text, Some(PathBuf::from("pennypost.toml")), &Environment::new());
        read.map_or_else(|error| error.to_string(), |_| "no complaint".to_owned())
    }

    #[test]
    fn sound_settings_are_taken() {
        let dns = "acme = \"https://ca.example:14000/dir\"\nacme_names = [\"*.example.com\", \"example.com\"]\nacme_challenge = \"dns-01\"\n";
        for lines in [
            "acme = \"letsencrypt\"",
            "acme = \"letsencrypt-staging\"\nacme_contact = \"ops@example.com\"\nacme_challenge = \"tls-alpn-01\"",
            &format!("{dns}acme_dns_hook = \"/usr/local/bin/hook\"\nacme_ca_file = \"ca.pem\"\nacme_eab_kid = \"k\"\nacme_eab_key = \"emhlY2hl\""),
            &format!("{dns}acme_dns_server = \"[::1]:53\"\nacme_dns_key_name = \"acme-key.\"\nacme_dns_key = \"MDEyMzQ1Njc4OWFiY2RlZg==\""),
        ] {
            assert_eq!(complaint(lines), "no complaint", "{lines}");
        }
    }

    #[test]
    fn doubtful_settings_are_refused_with_line_and_fix() {
        let acme = "acme = \"letsencrypt\"\n";
        let dns = &format!("{acme}acme_challenge = \"dns-01\"\n");
        for (lines, told) in [
            ("acme = \"lets-encrypt\"", "pennypost.toml:4: tls.acme is \"lets-encrypt\""),
            ("acme = \"http://ca.example/dir\"", "tls.acme is"),
            ("acme_names = [\"mail.example.com\"]", "tls.acme_names is set, while tls.acme is empty"),
            (&format!("{acme}acme_contact = \"ops\""), "tls.acme_contact is \"ops\""),
            (&format!("{acme}acme_ca_file = \"ca.pem\""), "tls.acme_ca_file is set for an authority"),
            (&format!("{acme}acme_names = [\"*.example.com\"]"), "only by dns-01"),
            (&format!("{acme}acme_names = [\"mail_1.example.com\", \"mail\"]"), "holds \"mail\""),
            (&format!("{acme}acme_eab_kid = \"k\""), "tls.acme_eab_kid is set without"),
            (&format!("{acme}acme_eab_kid = \"k\"\nacme_eab_key = \"%\""), "tls.acme_eab_key is not base64url"),
            (&format!("{acme}acme_dns_hook = \"/hook\""), "tls.acme_dns_hook is set, while tls.acme_challenge is \"http-01\""),
            (dns, "nothing is named that publishes the records"),
            (&format!("{dns}acme_dns_hook = \"hook\""), "write the whole path"),
            (&format!("{dns}acme_dns_hook = \"/hook\"\nacme_dns_server = \"[::1]:53\""), "beside tls.acme_dns_server"),
            (&format!("{dns}acme_dns_server = \"ns.example\""), "write address:port"),
            (&format!("{dns}acme_dns_server = \"[::1]:53\"\nacme_dns_key_name = \"k\"\nacme_dns_key = \"aGk=\""), "is no TSIG key"),
            (&format!("{dns}acme_dns_server = \"[::1]:53\""), "tls.acme_dns_key_name is \"\""),
            (&format!("{acme}acme_challenge = \"http\""), "tls.acme_challenge"),
        ] {
            let complaint = complaint(lines);
            assert!(complaint.contains(told), "{lines}\n{complaint}");
        }
    }
}
