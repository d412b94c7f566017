//! Starts, supervises, drains and stops the gateway.
