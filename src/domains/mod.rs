//! Sending domains, their DKIM keys and DNS records.
