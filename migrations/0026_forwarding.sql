-- Mail from the world that is passed on: whose it was, so that what comes back finds its way.

create table forwarded (
    message_id    uuid primary key,
    project_id    uuid not null references project (id) on delete cascade,
    domain_id     uuid references domain (id) on delete cascade,
    route_id      uuid,
    recipient     text not null,
    target        text not null,
    reverse_path  text not null,
    authenticated boolean not null,
    passed_back   boolean not null default false,
    returned      smallint not null default 0,
    check_at      timestamptz
);
create index forwarded_due on forwarded (check_at) where check_at is not null;
comment on table forwarded is 'Messages that were passed on under a reverse-path of ours: the id is in that path.';
comment on column forwarded.reverse_path is 'MAIL FROM as it came; empty for the null reverse-path.';
comment on column forwarded.authenticated is 'SPF or DKIM proved that domain: a report to it reaches who sent the message, not somebody whose name was borrowed.';
comment on column forwarded.passed_back is 'The refusal of the next server was the reply that the sender got: nothing is owed to it.';
comment on column forwarded.returned is 'Reports that were given back.';
comment on column forwarded.check_at is 'When to look whether a report is owed; null: it is over.';
