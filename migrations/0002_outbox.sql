-- The outbox: nodes, messages, outstanding deliveries, the event log, idempotency keys.
-- Messages, events and keys are partitioned by day, so that retention drops tables instead of deleting rows.

create table node (
    incarnation bigint primary key,
    host text not null,
    started_at timestamptz not null default now(),
    heartbeat_at timestamptz not null default now(),
    fenced_at timestamptz
);
comment on table node is 'One row per running process; a restart is a new incarnation.';
comment on column node.incarnation is 'Random positive number: the fencing token that claims carry.';
comment on column node.heartbeat_at is 'Confirmed about once a second, on the clock of the database.';
comment on column node.fenced_at is 'Set by another node that found the heartbeat too old: this incarnation must write nothing more.';

create table message (
    id uuid not null,
    project_id uuid not null,
    domain_id uuid,
    reverse_path text not null,
    header_from text not null,
    subject text not null,
    header_message_id text not null,
    tags jsonb not null,
    metadata jsonb not null,
    priority smallint not null,
    stream text not null,
    origin smallint not null,
    send_at timestamptz,
    expires_at timestamptz not null,
    recipients smallint not null,
    size integer not null,
    flags smallint not null,
    encoding smallint not null,
    content bytea not null,
    primary key (id)
) partition by range (id);
comment on table message is 'A message accepted once; never updated. The id is a UUIDv7 and carries the time of acceptance.';
comment on column message.domain_id is 'The sending domain whose DKIM keys sign; null where an unverified sender was allowed.';
comment on column message.reverse_path is 'MAIL FROM address; empty for the null reverse-path.';
comment on column message.priority is '0 high, 1 normal, 2 bulk.';
comment on column message.origin is '1 API, 2 SMTP, 3 command line.';
comment on column message.size is 'Octets of the content before compression.';
comment on column message.flags is 'Bit 0: has octets above 127 in the body; bit 1: needs SMTPUTF8.';
comment on column message.encoding is '0 plain, 1 zstd.';
comment on column message.content is 'RFC 5322 octets without our signature.';
alter table message alter column content set storage external;
create index message_project on message (project_id, id);

create table delivery (
    message_id uuid not null,
    rcpt_no smallint not null,
    project_id uuid not null,
    lane integer not null,
    owner bigint not null,
    attempt smallint not null default 0,
    priority smallint not null,
    next_at timestamptz not null,
    expires_at timestamptz not null,
    recipient text not null,
    primary key (message_id, rcpt_no)
) with (
    fillfactor = 80,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0
);
comment on table delivery is 'Outstanding work only: one message to one recipient. A settled delivery is a row of event and none here.';
comment on column delivery.rcpt_no is 'Place of the recipient in the envelope, from 0.';
comment on column delivery.lane is 'Hash of the recipient domain: work is claimed lane by lane, so that no domain stands behind another.';
comment on column delivery.owner is '0 waiting, -1 held, else the incarnation of the node that claimed it.';
comment on column delivery.attempt is 'Attempts made so far.';
-- What can be claimed: waiting rows, by lane and due time.
create index delivery_due on delivery (lane, next_at) where owner = 0;

create table event (
    id uuid not null,
    xact bigint not null default (pg_current_xact_id()::text::bigint),
    project_id uuid not null,
    message_id uuid,
    rcpt_no smallint,
    kind smallint not null,
    recipient text,
    data json not null
) partition by range (id);
comment on table event is 'Append-only: the timeline of each message, and the feed that consumers read by cursor.';
comment on column event.xact is 'Transaction that wrote it: a reader stays behind the oldest one still open and so never skips a late commit.';
comment on column event.kind is 'Number of events::EventKind.';
comment on column event.data is 'Facts of the kind, such as an attempt.';
create index event_message on event (message_id, id);
create index event_feed on event (project_id, xact, id);

create table idempotency (
    day date not null,
    project_id uuid not null,
    key_hash bytea not null,
    request_hash bytea not null,
    message_id uuid not null,
    deliveries smallint not null,
    primary key (day, project_id, key_hash)
) partition by range (day);
comment on table idempotency is 'Idempotency keys of the last day, written in the same transaction as their message.';

-- The least UUIDv7 of a day.
create function uuid_floor(day date) returns uuid language sql immutable strict as $$
    select (lpad(to_hex((extract(epoch from day::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Makes one partition unless it is there. Attached after its creation, so that inserts into other days are not blocked.
create function ensure_partition(parent text, name text, lower_bound text, upper_bound text, options text) returns void
language plpgsql as $$
begin
    if to_regclass(name) is not null then
        return;
    end if;
    execute format('create table %I (like %I including all) %s', name, parent, options);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, name, lower_bound, upper_bound);
exception
    -- Another node made it at the same moment.
    when duplicate_table or duplicate_object or unique_violation or invalid_object_definition then null;
end
$$;

-- Makes the partitions of the days from first_day to last_day.
create function ensure_partitions(first_day date, last_day date) returns void language plpgsql as $$
declare
    day date;
    suffix text;
begin
    for day in select d::date from generate_series(first_day, last_day, interval '1 day') as d loop
        suffix := to_char(day, '_YYYYMMDD');
        perform ensure_partition('message', 'message' || suffix, uuid_floor(day)::text, uuid_floor(day + 1)::text, 'with (toast_tuple_target = 8160)');
        perform ensure_partition('event', 'event' || suffix, uuid_floor(day)::text, uuid_floor(day + 1)::text, '');
        perform ensure_partition('idempotency', 'idempotency' || suffix, day::text, (day + 1)::text, '');
    end loop;
end
$$;

-- Drops the partitions of a parent that end before a day; returns how many.
create function drop_partitions(parent text, before_day date) returns integer language plpgsql as $$
declare
    name text;
    dropped integer := 0;
begin
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = parent::regclass and c.relname < parent || to_char(before_day, '_YYYYMMDD')
    loop
        execute format('drop table %I', name);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;
