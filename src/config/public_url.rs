//! The address that users reach the HTTP door by, taken apart.

use super::Server;

const HTTPS_PORT: u16 = 443;

impl Server {
    /// Host and port of `server.public_url`; none unless it is an `https://` address.
    #[must_use]
    pub fn https_place(&self) -> Option<(&str, u16)> {
        let place = self.public_url.strip_prefix("https://")?;
        let place = place.split('/').next().unwrap_or(place);
        match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => Some((host, port.parse().ok()?)),
            _ => Some((place, HTTPS_PORT)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::environment::Environment;
    use crate::config::load::load;

    #[test]
    fn the_place_of_a_url_is_read() {
        let mut server = load(None, &Environment::default()).unwrap().config.server;
        for (url, place) in [
            ("https://mail.example.com", Some(("mail.example.com", 443))),
            ("https://mail.example.com/mail", Some(("mail.example.com", 443))),
            ("https://mail.example.com:8443", Some(("mail.example.com", 8443))),
            ("https://[2001:db8::1]", Some(("[2001:db8::1]", 443))),
            ("http://mail.example.com", None),
            ("", None),
        ] {
            server.public_url = url.to_owned();
            assert_eq!(server.https_place(), place, "{url}");
        }
    }
}
