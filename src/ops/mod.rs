//! Work on the house itself, beside the mail.

pub mod certs;
pub mod consent;
pub mod doctor;
pub mod files;
pub mod housekeeping;
pub mod notices;
pub mod tls;
