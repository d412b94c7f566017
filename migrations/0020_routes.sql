-- Mail from the world: routes, the messages that arrived by them, and webhooks.

create table route (
    id         uuid primary key,
    project_id uuid not null references project (id) on delete cascade,
    domain_id  uuid not null references domain (id) on delete cascade,
    local      text collate "C" not null check (length(local) between 1 and 66),
    action     text not null check (action in ('forward', 'webhook', 'store', 'reject', 'drop')),
    reply      text,
    created_at timestamptz not null,
    constraint route_once unique (domain_id, local)
);
create index route_by_project on route (project_id, id);
comment on table route is 'Where mail from the world goes that comes to addresses of a domain.';
comment on column route.local is 'The local part: an address, or a pattern with one *; letters A to Z in lower case.';
comment on column route.reply is 'Of reject: the text of the 550.';
-- Mail comes to a domain by its name alone.
create index domain_by_name on domain (name);

create table route_target (
    route_id     uuid not null references route (id) on delete cascade,
    place        smallint not null,
    target       text not null,
    asked_at     timestamptz,
    confirmed_at timestamptz,
    primary key (route_id, place)
);
comment on table route_target is 'Where a forwarding route sends mail. Nothing is forwarded to an address whose owner did not agree.';
comment on column route_target.asked_at is 'When its owner was last asked by mail.';
comment on column route_target.confirmed_at is 'When its owner agreed; null: not yet.';

create table incoming_content (
    id         uuid primary key,
    project_id uuid not null references project (id) on delete cascade,
    size       integer not null,
    encoding   smallint not null,
    content    bytea not null
);
alter table incoming_content alter column content set storage external;
create index incoming_content_by_project on incoming_content (project_id);
comment on table incoming_content is 'Messages from the world as they came. One that came to several addresses of a project is kept once.';
comment on column incoming_content.size is 'Octets before compression.';
comment on column incoming_content.encoding is '0 plain, 1 zstd.';

create table incoming (
    id                uuid primary key,
    project_id        uuid not null references project (id) on delete cascade,
    content_id        uuid not null references incoming_content (id) on delete cascade,
    route_id          uuid,
    recipient         text not null,
    reverse_path      text not null,
    header_from       text not null,
    subject           text not null,
    header_message_id text,
    peer              text not null,
    helo              text not null,
    tls               text,
    authentication    jsonb not null,
    trace             text not null
);
create index incoming_by_project on incoming (project_id, id);
create index incoming_by_content on incoming (content_id);
comment on table incoming is 'A message from the world at one address of ours. The id is a UUIDv7 and carries the time of arrival.';
comment on column incoming.route_id is 'The route that kept it, which may be gone; null: it came to postmaster or abuse.';
comment on column incoming.reverse_path is 'MAIL FROM address; empty for the null reverse-path.';
comment on column incoming.helo is 'What the peer calls itself; proves nothing.';
comment on column incoming.authentication is 'Results of SPF, DKIM and DMARC.';
comment on column incoming.trace is 'The header fields that stand before the content: Return-Path, Delivered-To, Received and what was found out about the sender.';

create table webhook (
    id               uuid primary key,
    project_id       uuid not null references project (id) on delete cascade,
    route_id         uuid unique references route (id) on delete cascade,
    url              text not null check (length(url) <= 2000),
    kinds            smallint[] not null,
    secret           bytea not null,
    old_secret       bytea,
    old_secret_until timestamptz,
    created_at       timestamptz not null,
    disabled_at      timestamptz,
    failing_since    timestamptz,
    disabled_because text,
    xact             bigint not null,
    event_id         uuid not null
);
create index webhook_by_project on webhook (project_id, id);
comment on table webhook is 'Endpoints of users that are told by HTTP: of events, or of mail that comes by a route.';
comment on column webhook.route_id is 'The route whose mail it gets; null: it gets events.';
comment on column webhook.kinds is 'Numbers of events::EventKind; empty: all.';
comment on column webhook.secret is 'What signs, sealed under the master key.';
comment on column webhook.old_secret is 'The secret before, which signs too until old_secret_until.';
comment on column webhook.failing_since is 'When the first attempt failed since one ended well; such an endpoint gets one request at a time, and none after days of it.';
comment on column webhook.xact is 'With event_id the last event that was read for it.';

create table webhook_message (
    id          uuid primary key,
    webhook_id  uuid not null references webhook (id) on delete cascade,
    kind        smallint not null,
    payload     text,
    incoming_id uuid references incoming (id) on delete cascade,
    state       text not null check (state in ('waiting', 'delivered', 'failed')),
    attempts    smallint not null default 0,
    retried     smallint not null default 0,
    next_at     timestamptz not null,
    give_up_at  timestamptz not null,
    last_at     timestamptz,
    last_status smallint,
    last_error  text,
    last_body   text
) with (autovacuum_vacuum_scale_factor = 0.05);
create index webhook_message_due on webhook_message (webhook_id, next_at) where state = 'waiting';
create index webhook_message_by_webhook on webhook_message (webhook_id, id);
create index webhook_message_by_incoming on webhook_message (incoming_id) where incoming_id is not null;
comment on table webhook_message is 'What an endpoint is told, and how that went. The id is the webhook-id header: the same for each attempt.';
comment on column webhook_message.payload is 'The JSON that is posted; null where it is made of the incoming message.';
comment on column webhook_message.attempts is 'Attempts begun: the number that a claim carries, so that a node that was away too long writes nothing.';
comment on column webhook_message.retried is 'Attempts of the current round: starts anew when somebody asks for it to be sent again.';
comment on column webhook_message.next_at is 'When the next attempt is due; while one runs, when it counts as lost.';
create index webhook_message_ended on webhook_message (id) where state <> 'waiting';
