//! Names, hosts and connections: DNS, MX, TLS, dialling.
