//! What a mail server answers: replies within their limits, and the extensions that an EHLO reply offers (RFC 5321 4.2, 4.1.1.1).
#![no_main]

use libfuzzer_sys::fuzz_target;
use pennypost::smtp::codec::{MAX_REPLY_LINES, MAX_TEXT_OCTETS, PartialReply};
use pennypost::smtp::extension::{Extensions, Size};

fuzz_target!(|octets: &[u8]| {
    let (mut partial, mut lines) = (PartialReply::default(), 0);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        lines += 1;
        match partial.push(line) {
            Ok(None) => assert!(lines <= MAX_REPLY_LINES, "{lines} lines and no end"),
            Ok(Some(reply)) => {
                assert!((200..600).contains(&reply.code));
                assert!(reply.text.len() <= MAX_TEXT_OCTETS);
                assert!(!reply.text.contains(|character: char| character.is_control() && character != '\n'));
                assert!(reply.enhanced.is_none_or(|status| u16::from(status.class) == reply.code / 100), "{reply:?}");
                let extensions = Extensions::parse(&reply.text);
                assert_ne!(extensions.size, Size::AtMost(0));
                assert!(extensions.recipients_max != Some(0) && extensions.messages_max != Some(0));
                (partial, lines) = (PartialReply::default(), 0);
            }
            Err(_) => return,
        }
    }
});
