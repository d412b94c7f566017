//! Cursors, ids and times in paths and queries: what is read was written by us or reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pennypost::accept::checks::read_time;
use pennypost::model::page::{read_cursor, write_cursor};
use pennypost::model::{DeliveryId, DomainId, EventId, KeyId, MessageId};

fuzz_target!(|text: &str| {
    if let Some(id) = read_cursor(text) {
        assert_eq!(write_cursor(id), text, "one cursor for one place");
    }
    macro_rules! same_again {
        ($($id:ty),*) => {$(
            if let Ok(id) = text.parse::<$id>() {
                assert_eq!(id.to_string().parse::<$id>(), Ok(id));
            }
        )*};
    }
    same_again!(MessageId, DomainId, KeyId, EventId, DeliveryId);
    // Only that it ends: any time may be asked for.
    let _ = read_time(text);
});
