//! Mail from the world: what comes to our routes, and what comes back about mail of ours.
//!
//! Answers: which addresses take mail and what becomes of it (`Reception`); a report at a bounce address, or at the address for complaints, becomes
//! an event of the delivery it is about, once (`Inbound::arrived`), and what it means (`classify`). The suppression list follows from the event.
//! Does not: talk SMTP.

mod apply;
pub mod authenticate;
pub mod classify;
pub mod forward;
mod give_back;
mod keep;
pub mod pace;
mod report;
pub mod route;

#[cfg(test)]
mod corpus_tests;

pub use apply::{Heard, Inbound, InboundError, Mailbox, Nothing};
pub use authenticate::{Arrived, Authenticated};
pub use give_back::GiveBack;
pub use report::Reported;
pub use route::{Destination, Place, Reception, Standing};
