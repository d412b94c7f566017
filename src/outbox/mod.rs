//! Messages and deliveries not yet settled.
