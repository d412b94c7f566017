-- What comes back about messages: found by the Message-ID where a report carries no token of ours.

-- Message-IDs that we made hold the id of the message; only those that came with the message have to be looked up.
create index message_foreign_id on message (header_message_id) where header_message_id not like 'msg\_%';

-- Messages that came by submission, whose authors are told what became of them: found by an index that holds no others.
create index message_submitted on message (id) where origin = 2 and reverse_path <> '';

create table notice (
    message_id uuid primary key,
    project_id uuid not null references project (id) on delete cascade,
    check_at timestamptz not null,
    told jsonb not null default '{}',
    pending jsonb
);
create index notice_due on notice (check_at);
comment on table notice is 'Submitted messages whose authors may be owed a delivery report (RFC 3461).';
comment on column notice.check_at is 'When to look again; far away once all is told.';
comment on column notice.told is 'By the place of a recipient: the kinds of reports that were sent about it.';
comment on column notice.pending is 'The report that is about to be sent: kind and recipients. Its idempotency key is made of them, so it is sent once.';
insert into consumer (name, xact, event_id) values ('notices', 0, uuid_floor(current_date));
