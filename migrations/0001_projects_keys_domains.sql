-- Projects, the API keys that act for them, and the domains they send from.

create table project (
    id         uuid primary key,
    name       text not null unique check (length(name) between 1 and 100),
    created_at timestamptz not null default now()
);
comment on table project is 'An isolated space: domains, keys, messages. Every other table names its project.';
comment on column project.name is 'Shown to operators. "default" is the project that commands use unless told otherwise.';

create table api_key (
    id           uuid primary key,
    project_id   uuid not null references project (id) on delete cascade,
    name         text not null check (length(name) between 1 and 100),
    scope        text not null check (scope in ('full', 'send', 'read')),
    domains      text[],
    test         boolean not null,
    lookup       text not null unique,
    secret_hash  bytea not null check (octet_length(secret_hash) = 32),
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
create index api_key_by_project on api_key (project_id, id);
comment on table api_key is 'API keys. The key itself is shown once and never stored.';
comment on column api_key.domains is 'Domains the key may send from; null: all of the project.';
comment on column api_key.test is 'True: the key reads pp_test_, false: pp_live_.';
comment on column api_key.lookup is 'The public first part of the key, by which its row is found.';
comment on column api_key.secret_hash is 'SHA-256 of the whole key. It has over 160 random bits, so a slow hash would add nothing.';
comment on column api_key.last_used_at is 'Written at most once a minute.';
comment on column api_key.revoked_at is 'Set once, never cleared: a revoked key stays for the record.';

create table domain (
    id            uuid primary key,
    project_id    uuid not null references project (id) on delete cascade,
    name          text not null check (name = lower(name) and length(name) <= 253),
    state         text not null default 'pending' check (state in ('pending', 'verified', 'failed')),
    created_at    timestamptz not null default now(),
    verified_at   timestamptz,
    checked_at    timestamptz,
    failing_since timestamptz,
    findings      jsonb not null default '[]',
    constraint domain_once_per_project unique (project_id, name)
);
-- Several projects may ask for one name; only the one that proves it in DNS owns it.
create unique index domain_one_owner on domain (name) where state = 'verified';
create index domain_by_project on domain (project_id, id);
create index domain_by_check on domain (checked_at nulls first);
comment on table domain is 'Sending domains. The proof of ownership is the DKIM key in DNS: it is new for each project and each adding.';
comment on column domain.name is 'A-labels, lower case, no trailing dot.';
comment on column domain.failing_since is 'The first of the checks in a row that found the proof gone; one such check alone does not end a verified domain.';
comment on column domain.findings is 'What the last check found: a list of {type, name, value, state, found}; value is what was expected.';

create table dkim_key (
    id            uuid primary key,
    domain_id     uuid not null references domain (id) on delete cascade,
    selector      text not null check (length(selector) between 1 and 63),
    algorithm     text not null check (algorithm in ('rsa2048', 'ed25519')),
    state         text not null check (state in ('active', 'next', 'retired')),
    private_key   bytea not null,
    public_record text not null,
    created_at    timestamptz not null default now(),
    seen_at       timestamptz,
    constraint dkim_key_selector unique (domain_id, selector)
);
comment on table dkim_key is 'DKIM keys of the domains (RFC 6376, RFC 8463).';
comment on column dkim_key.state is 'active: signs; next: published, not signing yet; retired: signs no more, its record stays until mail on its way has arrived.';
comment on column dkim_key.private_key is 'PKCS #8, sealed under the master key and bound to this row and column.';
comment on column dkim_key.public_record is 'The TXT record to publish, whole and unquoted.';
comment on column dkim_key.seen_at is 'When a check last saw the record in DNS.';
