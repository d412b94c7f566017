-- Reports of receivers about mail in the name of our domains: DMARC aggregate reports (RFC 9990) and TLS reports (RFC 8460).

create table incoming_report (
    id uuid primary key,
    project_id uuid not null references project (id) on delete cascade,
    kind smallint not null,
    domain text not null,
    reporter text not null,
    report_id text not null,
    begins_at timestamptz not null,
    ends_at timestamptz not null,
    received_at timestamptz not null,
    passed bigint not null,
    failed bigint not null,
    policy json,
    -- A reporter sends a report again when it hears no answer, and to each address that asks for it.
    unique (project_id, kind, domain, reporter, report_id)
);
create index incoming_report_list on incoming_report (project_id, kind, id);
create index incoming_report_age on incoming_report (ends_at);
comment on table incoming_report is 'What receivers tell about mail in the name of our domains, once each.';
comment on column incoming_report.kind is '1 DMARC, 2 TLS';
comment on column incoming_report.passed is 'DMARC: messages that passed. TLS: sessions with the TLS that was asked for.';
comment on column incoming_report.policy is 'DMARC: the policy that the reporter found.';

create table dmarc_source (
    report_id uuid not null references incoming_report (id) on delete cascade,
    address text not null,
    header_from text not null,
    messages bigint not null,
    passed bigint not null,
    spf_passed bigint not null,
    dkim_passed bigint not null,
    quarantined bigint not null,
    rejected bigint not null,
    primary key (report_id, address, header_from)
);
comment on table dmarc_source is 'Messages of one From domain that came from one address, as a DMARC report tells.';
comment on column dmarc_source.address is 'Empty: the sum of all that a long report tells beyond what is kept apart.';

create table tls_failure (
    report_id uuid not null references incoming_report (id) on delete cascade,
    result text not null,
    sending_address text not null,
    mx_host text not null,
    sessions bigint not null,
    primary key (report_id, result, sending_address, mx_host)
);
comment on table tls_failure is 'Sessions that lacked the TLS that was asked for, as a TLS report tells.';
