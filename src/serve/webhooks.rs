//! Sets webhooks up: where may be posted to.

use crate::config::Config;
use crate::net::dial::AddressPolicy;
use crate::net::web_url::UrlPolicy;

/// Where webhooks may be posted to.
pub(super) const fn url_policy(config: &Config) -> UrlPolicy {
    let addresses = AddressPolicy { allow_private: config.webhooks.allow_private_addresses };
    UrlPolicy { addresses, allow_http: config.webhooks.allow_http }
}
