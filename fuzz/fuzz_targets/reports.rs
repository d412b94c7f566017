//! Mail that comes back, written by strangers: whatever it is, reading it ends, within its bounds, and what is read can be kept.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pennypost::deliver::class::Rules;
use pennypost::inbound::classify::meaning;
use pennypost::mail::report::{Arrival, MAX_DIAGNOSTIC, MAX_RECIPIENTS, read};

fuzz_target!(|octets: &[u8]| {
    let Arrival::Delivery(report) = read(octets) else { return };
    assert!(report.recipients.len() <= MAX_RECIPIENTS);
    let rules = Rules::built_in();
    for recipient in &report.recipients {
        assert!(recipient.diagnostic.len() <= MAX_DIAGNOSTIC && recipient.reply.len() <= MAX_DIAGNOSTIC);
        assert!(!recipient.diagnostic.chars().any(char::is_control), "{recipient:?}");
        let _ = meaning(&rules, recipient);
    }
});
