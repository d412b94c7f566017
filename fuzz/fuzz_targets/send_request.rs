//! The body of `POST /v1/send`: read, checked, made into a message. What passes makes a message that passes as a raw one.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pennypost::accept::checks::check;
use pennypost::accept::prepare::{Origins, prepare};
use pennypost::accept::request::SendRequest;
use pennypost::config::{Config, Limits};
use pennypost::http::json::read;
use pennypost::mail::headers::check_raw;
use pennypost::mail::lines;
use pennypost::model::{DomainId, MessageId, ProjectId};
use time::OffsetDateTime;
use uuid::Uuid;

static LIMITS: LazyLock<Limits> = LazyLock::new(|| Config::default().limits);

fuzz_target!(|body: &[u8]| {
    let Ok(request) = read::<SendRequest>(body) else { return };
    let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let Ok(checked) = check(request, &LIMITS, now) else { return };
    assert!(!checked.recipients.is_empty() && checked.recipients.len() <= LIMITS.recipients);
    let [id, project, domain] = [1, 2, 3].map(Uuid::from_u128);
    let origins = Origins {
        id: MessageId::from_uuid(id),
        project: ProjectId::from_uuid(project),
        domain: DomainId::from_uuid(domain),
        now,
        expire: Duration::from_secs(432_000),
    };
    let message = prepare(checked, &origins);
    let content = &message.content[..];
    assert!(!lines::has_bare_line_end(content));
    let headers = check_raw(content).expect("a message of ours passes");
    assert!(headers.message_id.is_some() && headers.date.is_some() && headers.bcc_ranges.is_empty());
});
