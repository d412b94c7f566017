//! The SMTP dialogue, client side.
