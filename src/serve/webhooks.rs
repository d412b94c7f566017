//! Sets webhooks up: where may be posted to, and who posts.

use std::sync::Arc;
use std::time::Duration;

use super::{Start, authorities};
use crate::config::Config;
use crate::consumers::{Post, Tell};
use crate::net::dial::AddressPolicy;
use crate::net::web_post::WebPoster;
use crate::net::web_url::UrlPolicy;

/// Where webhooks may be posted to.
pub(super) const fn url_policy(config: &Config) -> UrlPolicy {
    let addresses = AddressPolicy { allow_private: config.webhooks.allow_private_addresses };
    UrlPolicy { addresses, allow_http: config.webhooks.allow_http }
}

impl Start<'_> {
    /// Starts what tells endpoints.
    pub(super) fn webhooks(&self) -> anyhow::Result<()> {
        let (house, settings) = (self.house, &self.config.webhooks);
        let poster = WebPoster {
            resolver: house.resolver.clone(),
            clock: self.clock.clone(),
            policy: url_policy(self.config),
            authorities: authorities(self.config)?,
            limit: Duration::from_secs(settings.timeout_seconds),
        };
        let post = Post {
            store: house.store.clone(),
            clock: self.clock.clone(),
            tell: Tell { store: house.store.clone(), clock: self.clock.clone() },
            webhooks: house.webhooks.clone(),
            incoming: house.incoming.clone(),
            poster,
            public_url: self.config.server.public_url.clone(),
            of_one: settings.connections_per_endpoint,
            busy: Arc::default(),
        };
        self.supervisor.spawn("webhooks", post.run(self.supervisor.clone()));
        Ok(())
    }
}
