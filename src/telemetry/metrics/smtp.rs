//! Counting at the SMTP door, as [`super`] does.

use metrics::SharedString;

use super::HANDLES;

/// Counts one SMTP connection of a client that was opened. The doors count by themselves, and the figure is of all of them.
pub fn smtp_connection_opened() {
    HANDLES.smtp_connections.increment(1.0);
}

/// Counts one SMTP connection of a client that ended.
pub fn smtp_connection_closed() {
    HANDLES.smtp_connections.decrement(1.0);
}

/// Counts one SMTP connection that there was no place for.
pub fn smtp_turned_away() {
    HANDLES.smtp_turned_away.increment(1);
}

/// How signing in by SMTP went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignIn {
    /// They are in.
    Taken,
    /// User name or password is wrong, or they may not send.
    Refused,
    /// Too many guesses came before.
    Locked,
    /// It could not be found out.
    Unavailable,
}

/// Counts one sign-in.
pub fn smtp_sign_in(result: SignIn) {
    HANDLES.smtp_sign_ins.add(result, 1, |result| {
        [SharedString::const_str(match result {
            SignIn::Taken => "taken",
            SignIn::Refused => "refused",
            SignIn::Locked => "locked",
            SignIn::Unavailable => "unavailable",
        })]
    });
}
