//! A message given whole: checked, completed, shown (RFC 5322). What passed passes again once it is completed, and none of its octets is changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pennypost::mail::headers::{check_raw, finish_raw};
use pennypost::mail::parse::HeaderView;
use time::OffsetDateTime;

fuzz_target!(|octets: &[u8]| {
    let view = HeaderView::read(octets);
    let shown = view.from.iter().chain(&view.to).chain(&view.cc).chain([&view.subject]);
    assert!(shown.into_iter().all(|text| !text.contains(['\r', '\n', '\0'])), "{view:?}");
    let Ok(headers) = check_raw(octets) else { return };
    let finished = finish_raw(octets, "", "id@example.com", OffsetDateTime::UNIX_EPOCH);
    let again = check_raw(&finished).expect("a completed message passes");
    assert_eq!((&again.from, &again.subject, again.received), (&headers.from, &headers.subject, headers.received));
    assert!(again.message_id.is_some() && again.date.is_some() && again.bcc_ranges.is_empty());
    if headers.bcc_ranges.is_empty() {
        // A last line without an end gets one, and a header without a body its empty line.
        let ends = [&b""[..], b"\r\n", b"\r\n\r\n"];
        assert!(ends.iter().any(|end| finished.strip_suffix(*end).is_some_and(|rest| rest.ends_with(octets))), "the octets of others stay");
    }
});
