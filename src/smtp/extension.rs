//! What a server says it can do: the keywords of its EHLO reply (RFC 5321 4.1.1.1).
//!
//! Does not: use them; `transaction` does.

/// The extensions that matter to a sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one keyword of the protocol, offered or not")]
pub struct Extensions {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// SIZE (RFC 1870): offered or not, and the limit in octets if one is told.
    pub size: Size,
    /// AUTH (RFC 4954): the mechanisms, upper case.
    pub auth: Vec<String>,
    /// LIMITS (RFC 9422): recipients of one transaction at most.
    pub recipients_max: Option<usize>,
    /// LIMITS (RFC 9422): transactions of one session at most.
    pub messages_max: Option<usize>,
}

/// The SIZE extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// Not offered: MAIL takes no SIZE parameter.
    #[default]
    NotOffered,
    /// Offered, without a fixed limit.
    Unlimited,
    /// At most so many octets.
    AtMost(u64),
}

impl Extensions {
    /// Reads the text of an EHLO reply; its first line is the server's name. Unknown and malformed keywords are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines().skip(1) {
            found.read_line(line);
        }
        found
    }

    fn read_line(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "CHUNKING" => self.chunking = true,
            "STARTTLS" => self.starttls = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "DSN" => self.dsn = true,
            "REQUIRETLS" => self.require_tls = true,
            "SIZE" => {
                self.size = match words.next().and_then(|number| number.parse().ok()) {
                    Some(limit) if limit > 0 => Size::AtMost(limit),
                    _ => Size::Unlimited,
                };
            }
            "AUTH" => self.auth = words.map(str::to_ascii_uppercase).collect(),
            "LIMITS" => words.for_each(|limit| self.read_limit(limit)),
            _ => {}
        }
    }

    fn read_limit(&mut self, limit: &str) {
        let Some((name, value)) = limit.split_once('=') else { return };
        let value = value.parse().ok().filter(|number| *number > 0);
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.recipients_max = value,
            "MAILMAX" => self.messages_max = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keywords_of_a_large_receiver_are_read() {
        let text = "mx.example at your service\nSIZE 157286400\n8BITMIME\nSTARTTLS\nENHANCEDSTATUSCODES\nPIPELINING\nCHUNKING\nSMTPUTF8\nAUTH PLAIN login\nLIMITS MAILMAX=20 RCPTMAX=100\nXYZZY 1";
        let found = Extensions::parse(text);
        assert!(found.pipelining && found.eight_bit_mime && found.smtputf8 && found.chunking && found.starttls && found.enhanced_status_codes);
        assert!(!found.dsn);
        assert_eq!(found.size, Size::AtMost(157_286_400));
        assert_eq!(found.auth, ["PLAIN", "LOGIN"]);
        assert_eq!((found.recipients_max, found.messages_max), (Some(100), Some(20)));
    }

    #[test]
    fn the_first_line_is_a_name_and_odd_lines_do_no_harm() {
        assert_eq!(Extensions::parse("PIPELINING"), Extensions::default());
        assert_eq!(Extensions::parse("mx\nSIZE\n\n  \nLIMITS RCPTMAX=0 X").size, Size::Unlimited);
        assert_eq!(Extensions::parse("mx\nSIZE 0").size, Size::Unlimited);
        assert_eq!(Extensions::parse("mx\nSIZE 99999999999999999999999").size, Size::Unlimited);
        assert!(Extensions::parse("mx\nPipelining").pipelining);
    }
}
