//! Addresses, mailboxes, domain names: what passes reads the same again and cannot leave its place in a command (RFC 5321 4.1.2, RFC 5322 3.4).
#![no_main]

use libfuzzer_sys::fuzz_target;
use pennypost::model::{DomainName, EmailAddress, Mailbox, ReversePath};
use pennypost::smtp::command::rcpt;

fuzz_target!(|text: &str| {
    if let Ok(address) = EmailAddress::parse(text) {
        let shown = address.to_string();
        assert_eq!(EmailAddress::parse(&shown).as_ref(), Ok(&address), "{shown:?}");
        assert!(shown.len() <= 254 + 66, "{shown:?}");
        let mut command = Vec::new();
        rcpt(&mut command, &address);
        let command = String::from_utf8(command).expect("UTF-8");
        let path = command.strip_prefix("RCPT TO:<").and_then(|rest| rest.strip_suffix(">\r\n")).expect("one path");
        assert!(!path.contains(char::is_control), "{path:?}");
        assert_eq!(EmailAddress::parse(path).as_ref(), Ok(&address), "{path:?}");
    }
    if let Ok(mailbox) = Mailbox::parse(text) {
        let shown = mailbox.to_string();
        assert!(!shown.contains(['\r', '\n', '\0']), "{shown:?}");
        assert_eq!(Mailbox::parse(&shown).as_ref(), Ok(&mailbox), "{shown:?}");
    }
    if let Ok(name) = DomainName::parse(text) {
        assert_eq!(DomainName::parse(name.as_str()).as_ref(), Ok(&name));
        assert!(name.as_str().len() <= 253 && name.is_within(&name));
    }
    if let Ok(path) = ReversePath::from_stored(text) {
        assert_eq!(ReversePath::from_stored(&path.to_stored()), Ok(path));
    }
});
