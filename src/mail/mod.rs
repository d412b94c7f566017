//! Internet messages: compose, headers, DKIM.
