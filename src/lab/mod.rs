//! Programs for loopback: a DNS zone, an SMTP sink, a load generator.
