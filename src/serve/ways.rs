//! The ways out of this machine: pools of source addresses and smart hosts, with the projects that rules name.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{House, host_name};
use crate::access::Access;
use crate::config::Config;
use crate::deliver::egress::{self, Egress};
use crate::deliver::limits::Providers;
use crate::deliver::places::place_now;
use crate::model::{DomainName, ProjectId};
use crate::net::dns::Resolver;
use crate::outbox::Ways;

/// The ways out of this machine: refused if an address is not its own, or a rule names a project that does not exist.
pub(super) async fn ways_out(config: &Config, house: &House) -> anyhow::Result<Egress> {
    let delivery = &config.delivery;
    if !delivery.sandbox {
        egress::check_addresses(delivery)?;
    }
    Ok(Egress::new(delivery, &host_name(config), &projects(config, &house.access).await?)?)
}

/// What the outbox has to know of them. Nothing, where the configuration cannot be used: who delivers refuses that, others need not.
pub(super) async fn ways(config: &Config, access: &Access, resolver: &Resolver) -> anyhow::Result<Ways> {
    let egress = Egress::new(&config.delivery, &host_name(config), &projects(config, access).await?);
    let (Ok(egress), Ok(providers)) = (egress, Providers::load(&config.delivery)) else { return Ok(Ways::default()) };
    let (atlas, sandbox) = (Arc::new((providers, resolver.clone())), config.delivery.sandbox);
    let place_of = move |domain: DomainName| -> BoxFuture<'static, Option<[Arc<str>; 2]>> {
        let atlas = Arc::clone(&atlas);
        Box::pin(async move {
            let (providers, resolver) = &*atlas;
            let place = place_now(providers, resolver, sandbox, &domain).await?;
            Some([place.site, place.hosts])
        })
    };
    Ok(Ways::new(move |project, id, domain| egress.smart_host_of(project, id, domain), place_of))
}

/// The projects that rules name, as far as they exist.
async fn projects(config: &Config, access: &Access) -> anyhow::Result<HashMap<String, ProjectId>> {
    let delivery = &config.delivery;
    let named = delivery.pool_rule.iter().map(|rule| &rule.project).chain(delivery.smart_host_rule.iter().map(|rule| &rule.project));
    let mut projects = HashMap::new();
    for name in named.filter(|name| !name.is_empty()) {
        if let Some(id) = access.project_named(name).await? {
            projects.insert(name.clone(), id);
        }
    }
    Ok(projects)
}
