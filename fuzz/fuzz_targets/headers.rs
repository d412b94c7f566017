//! Names and values of header fields, media types, content ids, file names, labels: what passes holds no line end and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pennypost::mail::compose::{ContentId, MediaType, safe_file_name};
use pennypost::model::message::Label;
use pennypost::model::{HeaderName, HeaderText};

fn harmless(text: &str) -> bool {
    !text.contains(['\r', '\n', '\0', '\u{2028}', '\u{2029}', '\u{85}'])
}

fuzz_target!(|text: &str| {
    if let Ok(name) = HeaderName::parse(text) {
        assert!(!name.as_str().is_empty() && name.as_str().bytes().all(|octet| octet.is_ascii_graphic() && octet != b':'));
        assert_eq!(HeaderName::parse(name.as_str()).as_ref().map(HeaderName::as_str), Ok(name.as_str()));
    }
    if let Ok(value) = HeaderText::parse(text) {
        assert!(harmless(value.as_str()), "{value:?}");
    }
    if let Ok(media_type) = MediaType::parse(text) {
        assert!(media_type.as_str().bytes().all(|octet| octet.is_ascii_graphic() || octet == b' '), "{media_type:?}");
        assert_eq!(MediaType::parse(media_type.as_str()).as_ref(), Ok(&media_type));
    }
    if let Ok(id) = ContentId::parse(text) {
        assert!(id.as_str().bytes().all(|octet| octet.is_ascii_graphic() && !b"<>".contains(&octet)), "{id:?}");
    }
    if let Ok(label) = Label::parse(text) {
        assert!(harmless(label.as_str()));
    }
    let file = safe_file_name(text);
    assert!(!file.is_empty() && harmless(&file) && !file.contains(['/', '\\']) && file != "." && file != "..", "{file:?}");
    assert_eq!(safe_file_name(&file), file);
});
