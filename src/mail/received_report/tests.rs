//! Reports as they come, whole, torn and swollen.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

use super::*;

const DMARC: &str = "<?xml version=\"1.0\"?>\n<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\"><version>1.0</version>\
    <report_metadata><org_name>Big &amp; Co</org_name><email>a@big.example</email><report_id>42@big</report_id>\
    <date_range><begin>1790000000</begin><end>1790086399</end></date_range></report_metadata>\
    <policy_published><domain>Example.COM</domain><p>reject</p><sp>none</sp><testing>y</testing></policy_published>\
    <extension><x:y xmlns:x=\"u\"><record>no</record></x:y></extension>\
    <record><row><source_ip>192.0.2.1</source_ip><count>5</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>\
    <identifiers><header_from>example.com</header_from></identifiers><auth_results><spf><domain>x.example</domain><result>pass</result></spf></auth_results></record>\
    <record><row><source_ip>2001:db8::1</source_ip><count>7</count><policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>\
    <identifiers><header_from>example.com</header_from></identifiers></record>\
    <record><row><source_ip>192.0.2.1</source_ip><count>2</count><policy_evaluated><disposition>quarantine</disposition><dkim>fail</dkim><spf>pass</spf></policy_evaluated></row>\
    <identifiers><header_from>example.com</header_from></identifiers></record></feedback>\n";
const TLS: &str = r#"{"organization-name":"Big","date-range":{"start-datetime":"2026-09-21T00:00:00Z","end-datetime":"2026-09-21T23:59:59Z"},
    "contact-info":"a@big.example","report-id":"t-1","policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1"],"policy-domain":"example.com"},
    "summary":{"total-successful-session-count":90,"total-failure-session-count":3},
    "failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.7","receiving-mx-hostname":"MX1.example.com","failed-session-count":2},
    {"result-type":"starttls-not-supported","sending-mta-ip":"192.0.2.7","failed-session-count":1}]}]}"#;

fn message(kind: &str, octets: &[u8]) -> Vec<u8> {
    format!(
        "From: a@big.example\r\nSubject: Report Domain: example.com\r\nContent-Type: multipart/mixed; boundary=\"b=1\"\r\n\r\n--b=1\r\n\r\nThis is a report.\r\n\
         --b=1\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b=1--\r\n",
        STANDARD.encode(octets)
    )
    .into_bytes()
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

/// An archive as streaming writers make it: sizes stand behind the file, and there is no directory at all.
fn zip(names: &[&str], octets: &[u8], flags: u8, method: u8) -> Vec<u8> {
    let mut archive = Vec::new();
    for name in names {
        let is_directory = name.ends_with('/');
        let mut content = DeflateEncoder::new(Vec::new(), Compression::best());
        content.write_all(octets).unwrap();
        let content = if is_directory {
            Vec::new()
        } else if method == 0 {
            octets.to_vec()
        } else {
            content.finish().unwrap()
        };
        let mut header = [0; ZIP];
        header[..4].copy_from_slice(b"PK\x03\x04");
        (header[6], header[8], header[26]) = (flags, method, u8::try_from(name.len()).unwrap());
        if method == 0 {
            header[18..22].copy_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
        }
        archive.extend_from_slice(&header);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(&content);
    }
    archive
}

const ZIP: usize = 30;

#[test]
fn a_dmarc_report_is_read_however_it_is_packed() {
    let zipped = |names, flags, method| zip(names, DMARC.as_bytes(), flags, method);
    for (kind, octets) in [
        ("application/gzip", gzip(DMARC.as_bytes())),
        ("application/zip", zipped(&["r.xml"], 8, 8)),
        ("application/octet-stream", zipped(&["d/", "d/r.xml"], 8, 8)),
        ("application/zip", zipped(&["r.xml"], 0, 0)),
        ("text/xml", DMARC.as_bytes().to_vec()),
        ("text/xml", [b"\xef\xbb\xbf", DMARC.as_bytes()].concat()),
    ] {
        let ReceivedReport::Dmarc(report) = read(&message(kind, &octets)).unwrap() else { panic!("{kind}") };
        let Heading { reporter, report_id, domain, begins_at, ends_at } = &report.heading;
        assert_eq!((reporter.as_str(), report_id.as_str(), domain.as_str()), ("Big & Co", "42@big", "example.com"));
        assert_eq!((begins_at.unix_timestamp(), ends_at.unix_timestamp()), (1_790_000_000, 1_790_086_399));
        assert_eq!((report.policy.p.as_str(), report.policy.sp.as_str(), report.policy.testing), ("reject", "none", true));
        let source = |address: &str, [messages, passed, spf_passed, dkim_passed, quarantined, rejected]: [u64; 6]| Source {
            address: address.to_owned(),
            header_from: "example.com".to_owned(),
            messages,
            passed,
            spf_passed,
            dkim_passed,
            quarantined,
            rejected,
        };
        assert_eq!(report.sources, [source("192.0.2.1", [7, 7, 2, 5, 2, 0]), source("2001:db8::1", [7, 0, 0, 0, 0, 7])]);
    }
}

#[test]
fn a_tls_report_is_read_and_summed_up() {
    for octets in [gzip(TLS.as_bytes()), TLS.as_bytes().to_vec()] {
        let ReceivedReport::Tls(report) = read(&message("application/tlsrpt+gzip", &octets)).unwrap() else { panic!("no TLS report") };
        assert_eq!((report.heading.domain.as_str(), report.successful, report.failed), ("example.com", 90, 3));
        let lines: Vec<_> = report.failures.iter().map(|failure| (failure.result.as_str(), failure.mx_host.as_str(), failure.sessions)).collect();
        assert_eq!(lines, [("certificate-expired", "mx1.example.com", 2), ("starttls-not-supported", "", 1)]);
    }
}

#[test]
fn what_swells_when_it_is_unpacked_is_refused_while_it_is_unpacked() {
    // A thousandth of its size; twice packed it would be a millionth.
    let swollen = vec![b' '; 200 * 1024 * 1024];
    let (zipped, gzipped) = (zip(&["r.xml"], &swollen, 8, 8), gzip(&swollen));
    drop(swollen);
    for octets in [gzipped, zipped] {
        assert!(octets.len() < 1024 * 1024);
        assert_eq!(read(&message("application/gzip", &octets)), Err(ReceivedReportError::TooLarge("it unpacks to more than 16 MiB")));
    }
}

#[test]
fn depth_entities_and_lengths_are_bounded() {
    let deep = format!("<feedback>{}", "<a>".repeat(1_000));
    let long = format!("<feedback><report_metadata><org_name>{}", "x".repeat(10_000));
    let entities = "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><feedback>&b;</feedback>".to_owned();
    for text in [deep, long] {
        assert!(matches!(read(&message("text/xml", text.as_bytes())), Err(ReceivedReportError::TooLarge(_))));
    }
    let json = format!("{{\"policies\":{}", "[".repeat(100_000));
    for text in [entities, json] {
        assert!(matches!(read(&message("text/xml", text.as_bytes())), Err(ReceivedReportError::Malformed(_))));
    }
}

#[test]
fn a_report_of_many_sources_keeps_some_and_sums_up_the_rest() {
    let record = |number: usize| {
        format!(
            "<record><row><source_ip>10.0.{}.{}</source_ip><count>1</count></row><identifiers><header_from>example.com</header_from></identifiers></record>",
            number / 256,
            number % 256
        )
    };
    let records: String = (0..2 * MAX_LINES).map(record).collect();
    let text = DMARC.replacen("<record><row>", &format!("{records}<record><row>"), 1);
    let ReceivedReport::Dmarc(report) = read(&message("text/xml", text.as_bytes())).unwrap() else { panic!("no report") };
    assert_eq!(report.sources.len(), MAX_LINES + 1);
    assert_eq!(report.sources.iter().map(|source| source.messages).sum::<u64>(), 2 * MAX_LINES as u64 + 14);
}

#[test]
fn what_is_no_report_says_why() {
    let nothing = Err(ReceivedReportError::NoReport);
    assert_eq!(read(b""), nothing);
    assert_eq!(read(b"From: a@b.example\r\n\r\nHello.\r\n"), nothing);
    assert_eq!(read(&message("image/png", b"\x89PNG")), nothing);
    let nested = (0..50).fold("x".to_owned(), |inner, _| format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{inner}\r\n--b--\r\n"));
    assert_eq!(read(nested.as_bytes()), nothing);
    for (text, why) in [
        (DMARC.replace("<report_id>42@big</report_id>", ""), "it has no org_name or report_id"),
        (DMARC.replace("Example.COM", ""), "it has no domain"),
        (DMARC.replace("1790000000", "soon"), "it has no begin of its date_range"),
        (DMARC.replace("</feedback>", ""), "it ends inside an element"),
        (TLS.replace("2026-09-21T00:00:00Z", "Monday"), "\"Monday\" is no time"),
        (TLS.replace("\"policy-domain\":\"example.com\"", "\"x\":1"), "it names no domain"),
    ] {
        assert_eq!(read(&message("text/xml", text.as_bytes())), Err(ReceivedReportError::Malformed(why.to_owned())));
    }
    let torn = gzip(DMARC.as_bytes());
    assert!(matches!(read(&message("application/gzip", &torn[..torn.len() / 2])), Err(ReceivedReportError::Malformed(_))));
    let encrypted = zip(&["r.xml"], DMARC.as_bytes(), 1, 8);
    assert_eq!(read(&message("application/zip", &encrypted)), Err(ReceivedReportError::Malformed("the zip archive is encrypted".to_owned())));
}
