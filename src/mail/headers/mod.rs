//! Messages given whole, by the API's `raw` or by SMTP: checked, read, completed.
//!
//! Answers: is it a message that may leave ([`check_raw`]), and which octets leave ([`finish_raw`]). The body and all fields kept stay byte for byte.
//! Does not: read bodies; nothing here decodes one.

mod check;
mod finish;
pub(in crate::mail) mod mailbox;
mod nesting;
mod problem;
mod received;
mod take;
#[cfg(test)]
mod tests;
mod trace;

pub use self::check::{RawHeaders, check_raw};
pub use self::finish::finish_raw;
pub(in crate::mail) use self::nesting::is_excessive;
pub use self::problem::{MAX_FIELDS, MAX_HEADER_OCTETS, MAX_NESTING, MAX_PARTS, RawFault, RawProblem};
pub use self::received::received;
pub use self::take::{Taken, take_fields};
pub use self::trace::{Hop, Travels, delivered, received_from};
