-- TLS on the way out: MTA-STS policies, hosts that spoke TLS, results to report.

comment on column message.flags is 'Bit 0: has octets above 127 in the body; bit 1: needs SMTPUTF8; bit 2: REQUIRETLS; bit 3: TLS-Required: No (RFC 8689).';

create table mta_sts_policy (
    domain text primary key,
    txt_id text not null default '',
    policy text,
    fetched_at timestamptz,
    expires_at timestamptz,
    tried_at timestamptz not null,
    fault text
);
create index mta_sts_policy_age on mta_sts_policy (tried_at) where policy is not null;
comment on table mta_sts_policy is 'MTA-STS policies of recipient domains (RFC 8461), shared by all nodes; a row without a policy keeps a failed fetch from being repeated at once.';
comment on column mta_sts_policy.txt_id is 'The id that the DNS record had when the policy was fetched.';
comment on column mta_sts_policy.policy is 'The text as it was fetched; null: there is none.';
comment on column mta_sts_policy.expires_at is 'When max_age is over. Until then the policy holds, whatever becomes of the record and the policy host.';
comment on column mta_sts_policy.tried_at is 'When a fetch was last tried.';
comment on column mta_sts_policy.fault is 'Why the last fetch failed: result type of RFC 8460 4.3, a space, words for people; null: it did not.';

create table tls_host (
    host text primary key,
    seen_at timestamptz not null,
    missing_since timestamptz
);
create index tls_host_age on tls_host (seen_at);
comment on table tls_host is 'MX hosts that spoke TLS with us: the memory that keeps one which no longer does from getting mail in the clear at once.';
comment on column tls_host.seen_at is 'When it last did; written at most once an hour.';
comment on column tls_host.missing_since is 'When it first did not any more; null: it does.';

create table tls_result (
    day date not null,
    domain text not null,
    digest bytea not null,
    facts jsonb not null,
    sessions bigint not null,
    primary key (day, domain, digest)
);
comment on table tls_result is 'Sessions of one UTC day with the hosts of a domain that asked for TLS reports, by what came of them (RFC 8460). Gone once reported.';
comment on column tls_result.digest is 'SHA-256 of the facts.';
comment on column tls_result.facts is 'Policy and result as the report tells them.';

create table tls_report (
    day date not null,
    domain text not null,
    next_at timestamptz not null,
    tries integer not null default 0,
    primary key (day, domain)
);
create index tls_report_due on tls_report (next_at);
comment on table tls_report is 'Reports to be made: one for each day and domain with results.';
comment on column tls_report.next_at is 'When it is made, or made again after a failure; moved on by the node that takes it up.';
