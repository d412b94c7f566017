-- Sites: what the mail hosts of the world bear, as their replies told. Kept over restarts and shared by all nodes that deliver.

create table site (
    name text primary key,
    provider text not null,
    limits json not null,
    standing json not null,
    slowed boolean not null,
    slowed_at timestamptz,
    sessions integer not null,
    per_minute double precision,
    paused_until timestamptz,
    reason text,
    rest_until timestamptz,
    rest_reason text,
    without_ipv6_until timestamptz,
    domains text[] not null,
    updated_at timestamptz not null default clock_timestamp()
);
comment on table site is 'Domains with the same MX hosts, or of one provider: how much they are sent, and why. Only sites that asked for less, or could not be reached.';
comment on column site.name is 'The MX hosts, sorted, or the name of a provider whose customers are one site.';
comment on column site.limits is 'The most that would be sent.';
comment on column site.standing is 'What the throttle of a node goes on from: deliver::throttle::Standing.';
comment on column site.slowed is 'Sent less than its limits allow.';
comment on column site.slowed_at is 'When it last asked for less, on whatever node: later knowledge wins.';
comment on column site.sessions is 'Sessions allowed, of all nodes together.';
comment on column site.per_minute is 'Messages a minute allowed, of all nodes together; null: as many as there are.';
comment on column site.paused_until is 'Nothing is sent before.';
comment on column site.rest_until is 'Hosts that could not be reached are not tried before.';
comment on column site.domains is 'Recipient domains seen there lately, not all of them where there are many.';
-- Which site holds the mail of a domain up.
create index site_domains on site using gin (domains);
-- What changed since a node last looked.
create index site_updated on site (updated_at);

create table sender (
    incarnation bigint primary key,
    seen_at timestamptz not null default clock_timestamp()
);
comment on table sender is 'Nodes that deliver, and so share the limits of sites. Each says every few seconds that it is there.';
