//! The one engine out: plan, session, transaction, verdict.
