//! Notifications as JSON, which relays in the cloud send by mail in place of reports.
//!
//! Answers: bounce, complaint and delivery notices of the widespread form with `notificationType` (or `eventType`), recipients and `mail`.
//! Does not: follow links in them, or believe them more than any other report.

use serde::Deserialize;

use super::address::first;
use super::feedback::{FeedbackReport, FeedbackType};
use super::original::{Original, message_id};
use super::parts::Anatomy;
use super::said::said;
use super::{Action, Arrival, DeliveryReport, MAX_RECIPIENTS, RecipientReport, phrases, status, text};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    #[serde(rename = "notificationType", alias = "eventType")]
    kind: String,
    #[serde(default)]
    bounce: Option<Bounce>,
    #[serde(default)]
    complaint: Option<Complaint>,
    #[serde(default)]
    delivery: Option<Delivery>,
    #[serde(default)]
    mail: Mail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    #[serde(default)]
    bounced_recipients: Vec<Recipient>,
    #[serde(default, rename = "reportingMTA")]
    reporting_mta: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(default)]
    complained_recipients: Vec<Recipient>,
    #[serde(default)]
    complaint_feedback_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    smtp_response: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    diagnostic_code: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mail {
    #[serde(default)]
    common_headers: Common,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Common {
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    subject: Option<String>,
}

/// Reads a notification; none if the message is no such.
pub(super) fn read(anatomy: &Anatomy) -> Option<Arrival> {
    let words = anatomy.texts.first()?.trim_start();
    if !words.starts_with('{') {
        return None;
    }
    // Lines of mail are folded inside texts of JSON, where a line end may not stand.
    let joined = words.replace(['\r', '\n'], "");
    let notification: Notification = serde_json::Deserializer::from_str(&joined).into_iter().next()?.ok()?;
    let Common { message_id: id, subject } = notification.mail.common_headers;
    let original = Original { message_id: id.as_deref().and_then(message_id), subject: subject.unwrap_or_default(), ..Original::default() };
    match (notification.kind.as_str(), notification.bounce, notification.complaint, notification.delivery) {
        ("Bounce", Some(bounce), _, _) => {
            let recipients = bounce.bounced_recipients.into_iter().take(MAX_RECIPIENTS).filter_map(bounced).collect();
            let reporting_mta = bounce.reporting_mta.as_deref().and_then(status::host);
            Some(Arrival::Delivery(DeliveryReport { reporting_mta, recipients, original, ..DeliveryReport::default() }))
        }
        ("Complaint", _, Some(complaint), _) => {
            let recipients = complaint.complained_recipients.iter().take(MAX_RECIPIENTS).filter_map(|one| first(&one.email_address)).collect();
            let kind = match complaint.complaint_feedback_type.as_deref() {
                Some("not-spam") => FeedbackType::NotSpam,
                Some("fraud") => FeedbackType::Fraud,
                Some("auth-failure") => FeedbackType::AuthFailure,
                _ => FeedbackType::Abuse,
            };
            Some(Arrival::Feedback(FeedbackReport { kind, user_agent: None, recipients, envelope_id: None, original }))
        }
        ("Delivery", _, _, Some(delivery)) => {
            let one = |text: &String| {
                let recipient = Recipient {
                    email_address: text.clone(),
                    action: Some("delivered".into()),
                    status: None,
                    diagnostic_code: Some(delivery.smtp_response.clone()),
                };
                bounced(recipient)
            };
            let recipients = delivery.recipients.iter().take(MAX_RECIPIENTS).filter_map(one).collect();
            Some(Arrival::Delivery(DeliveryReport { recipients, original, ..DeliveryReport::default() }))
        }
        _ => None,
    }
}

fn bounced(recipient: Recipient) -> Option<RecipientReport> {
    let diagnostic = recipient.diagnostic_code.unwrap_or_default();
    let words = diagnostic.strip_prefix("smtp;").unwrap_or(&diagnostic);
    let quoted = said(words);
    Some(RecipientReport {
        recipient: first(&recipient.email_address)?,
        original_recipient: None,
        action: match recipient.action.as_deref() {
            Some("delayed") => Action::Delayed,
            Some("delivered") => Action::Delivered,
            _ => Action::Failed,
        },
        status: quoted.status.or_else(|| recipient.status.and_then(|status| status.trim().parse().ok())),
        code: quoted.code,
        stage: phrases::stage_of(words),
        diagnostic: text::shorten(&quoted.text),
        reply: text::shorten(&quoted.quoted),
        remote_mta: None,
    })
}
