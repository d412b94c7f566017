//! Logs, spans and metrics, all declared here.
