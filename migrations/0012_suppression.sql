-- Addresses and domains that a project does not send to, and the cursor of the consumer that fills the list.

create table suppression (
    project_id uuid not null references project (id) on delete cascade,
    address text collate "C" not null check (address = lower(address) and length(address) between 3 and 255),
    stream text not null default '' check (length(stream) <= 64),
    id uuid not null,
    reason text not null check (reason in ('bounce', 'complaint', 'unsubscribe', 'manual')),
    origin text not null check (origin in ('automatic', 'api', 'cli', 'import')),
    class text,
    message_id uuid,
    note text check (length(note) <= 1000),
    created_at timestamptz not null,
    primary key (project_id, address, stream)
) with (autovacuum_analyze_threshold = 100, autovacuum_analyze_scale_factor = 0.05);
-- Lists are read by it. Of the text of the project, so that a plan made while the table was empty cannot take it for the look-up of
-- an address, for which the primary key alone serves.
create unique index suppression_by_id on suppression ((project_id::text), id);
comment on table suppression is 'What a project does not send to: asked for each recipient when a message is accepted and when a waiting delivery is claimed.';
comment on column suppression.address is 'Compared octet by octet: local@domain with the letters A to Z in lower case, or @domain for everybody there.';
comment on column suppression.stream is 'The stream that it holds for; empty: all of the project.';
comment on column suppression.id is 'UUIDv7, the order of lists.';
comment on column suppression.class is 'Of a bounce: its class.';
comment on column suppression.message_id is 'The message that led to it; it may be gone.';

create table consumer (
    name text primary key,
    xact bigint not null,
    event_id uuid not null
);
comment on table consumer is 'How far each reader of the event log has come; moved in the transaction that keeps what was made of the events.';
comment on column consumer.xact is 'With event_id the last event read.';
-- From here on: what bounced before this table was there is not suppressed after the fact.
insert into consumer (name, xact, event_id) values ('suppress', pg_current_xact_id()::text::bigint, '00000000-0000-0000-0000-000000000000');

-- What the consumer reads, over all projects; deliveries that end well never enter it.
create index event_condemning on event (xact, id) where kind in (4, 8);

-- An id for an event that follows another one by a millisecond: a UUIDv7 of its own for each number.
create function event_id_after(id uuid, number bigint) returns uuid language sql immutable strict as $$
    select (lpad(to_hex(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint + 1), 12, '0')
        || substr(replace(id::text, '-', ''), 13, 4)
        -- The variant's two bits lead what follows (RFC 9562 4.1).
        || '8' || substr(md5(id::text || number::text), 1, 15))::uuid
$$;

alter table project add column strict_verp boolean not null default false;
comment on column project.strict_verp is 'One transaction for each recipient, so that the reverse-path of each names its delivery.';
