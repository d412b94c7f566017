-- Source addresses: what they sent while they warm up, who lists them, when they failed, what waits for them. Shared by all nodes.

create table warm_up (
    day date not null,
    source text not null,
    provider text not null,
    taken bigint not null,
    granted bigint not null,
    primary key (day, source, provider)
);
comment on table warm_up is 'Recipients that a source address sent to on a day (UTC) while it warms up, with what nodes have set aside to send next.';
comment on column warm_up.provider is 'The provider, or the site of one that is in no table.';
comment on column warm_up.granted is 'What the last taker got: the statement that took it reads it.';

create table source_listing (
    source text not null,
    zone text not null,
    state text not null,
    detail text not null,
    since timestamptz not null,
    checked_at timestamptz not null,
    primary key (source, zone)
);
comment on table source_listing is 'What DNS lists of bad senders said of our source addresses.';
comment on column source_listing.state is 'clear, listed, or unusable: the list cannot be believed.';

create table source_failure (
    source text primary key,
    reason text not null,
    until timestamptz not null
);
comment on table source_failure is 'Source addresses that a node could not use, and passes over until then.';

create table egress_wait (
    project_id uuid not null references project on delete cascade,
    stream text not null,
    domain text not null,
    reason text not null,
    detail text not null,
    until timestamptz not null,
    primary key (project_id, stream, domain)
);
comment on table egress_wait is 'Why mail that was given back waits: no source address of its pool may send it now. For people who ask.';
comment on column egress_wait.until is 'When deliveries that wait for this reason are due: theirs is the same instant.';
