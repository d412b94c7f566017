-- Certificates that we show, and how they are had from an authority by ACME (RFC 8555).

create table acme_account (
    id          uuid primary key,
    directory   text not null,
    credentials bytea not null,
    created_at  timestamptz not null,
    constraint acme_account_directory unique (directory)
);
comment on table acme_account is 'Our accounts with authorities, one for each directory; all nodes share them.';
comment on column acme_account.credentials is 'The account''s address and private key as JSON, sealed under the master key.';

create table certificate (
    id          uuid primary key,
    source      text not null check (source in ('acme', 'import')),
    directory   text,
    names       text[] not null,
    chain       text not null,
    private_key bytea not null,
    issuer      text not null,
    not_before  timestamptz not null,
    not_after   timestamptz not null,
    created_at  timestamptz not null,
    check ((source = 'acme') = (directory is not null))
);
comment on table certificate is 'Certificates beside those in files. Each node shows all that are valid, chosen by the name that a client asks for.';
comment on column certificate.directory is 'The authority''s directory, of one that was had by ACME.';
comment on column certificate.chain is 'PEM: the certificate first, then those it is signed with.';
comment on column certificate.private_key is 'PKCS #8 in PEM form, sealed under the master key.';

create table certificate_order (
    directory      text not null,
    names          text not null,
    next_at        timestamptz not null,
    forced         boolean not null default false,
    lease          uuid,
    lease_until    timestamptz,
    certificate_id uuid references certificate (id) on delete set null,
    renew_at       timestamptz,
    advice_at      timestamptz,
    advice_start   timestamptz,
    advice_end     timestamptz,
    tried_at       timestamptz,
    failures       integer not null default 0,
    last_error     text,
    primary key (directory, names),
    check ((lease is null) = (lease_until is null))
);
comment on table certificate_order is 'Which certificates are wanted, when each is looked at next, and how that went.';
comment on column certificate_order.names is 'Sorted, with commas between them.';
comment on column certificate_order.forced is 'An operator asked for a new one now.';
comment on column certificate_order.lease is 'The try that goes on; another begins only once it ended or its time is over. What a try writes is written under its lease.';
comment on column certificate_order.advice_at is 'When the authority is to be asked again when it wants the renewal (RFC 9773).';

create table certificate_challenge (
    id         uuid primary key,
    lease      uuid not null,
    kind       text not null check (kind in ('http-01', 'tls-alpn-01', 'dns-01')),
    name       text not null,
    token      text not null,
    answer     text not null,
    expires_at timestamptz not null
);
create index certificate_challenge_lease on certificate_challenge (lease);
comment on table certificate_challenge is 'What the authority will ask for. Every node answers, because the authority reaches any of them.';
comment on column certificate_challenge.token is 'http-01: the path it asks for. dns-01: the name of the TXT record. tls-alpn-01: empty.';
comment on column certificate_challenge.answer is 'http-01: the text. dns-01: the value of the record. tls-alpn-01: SHA-256 in hexadecimal digits.';

create table certificate_version (
    one     boolean primary key default true check (one),
    version bigint not null
);
insert into certificate_version values (true, 1);
comment on table certificate_version is 'One row, counted up with each change of the tables above that nodes have to hear of.';
