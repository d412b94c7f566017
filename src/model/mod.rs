//! The words of Pennypost: types with a grammar, and nothing else.
//!
//! Answers: what an address, a header value, an id, a reply or an outcome is, and which texts are one.
//! Does not: read, write, send or know the time. Every other room may import this one; it imports none.

pub mod actor;
pub mod address;
pub mod bounce;
pub mod domain_name;
pub mod envelope;
pub mod header;
pub mod id;
pub mod message;
pub mod outcome;
pub mod page;
pub mod reply;
pub mod report_wishes;
pub mod secret;
pub mod sender;
pub mod site_name;

pub use actor::Actor;
pub use address::{EmailAddress, Mailbox};
pub use bounce::BounceClass;
pub use domain_name::DomainName;
pub use envelope::{Envelope, ReversePath};
pub use header::{HeaderName, HeaderText};
pub use id::{
    AuditId, CertificateId, DeliveryId, DkimKeyId, DomainId, EventId, IncomingId, KeyId, MessageId, NodeId, ProjectId, ReportId, RouteId, SmtpUserId,
    SuppressionId, WebhookId, WebhookMessageId,
};
pub use reply::{EnhancedStatus, Reply};
pub use secret::Secret;
pub use sender::SenderPattern;
pub use site_name::SiteName;
