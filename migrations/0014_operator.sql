-- Operator's control: pauses, nodes that are drained, and the record of who did what.

create table pause (
    id uuid primary key,
    project_id uuid references project (id) on delete cascade,
    domain text,
    site text,
    reason text not null check (length(reason) <= 500),
    actor_key uuid,
    actor text not null,
    created_at timestamptz not null,
    constraint pause_of_something check (project_id is not null or domain is not null or site is not null),
    constraint pause_domain_or_site check (domain is null or site is null)
);
create unique index pause_once on pause (coalesce(project_id, '00000000-0000-0000-0000-000000000000'), coalesce(domain, ''), coalesce(site, ''));
comment on table pause is 'What is not to be tried now: all mail of a project, its mail to one recipient domain, or to one site, or the mail of all projects to one.';
comment on column pause.project_id is 'Null: of all projects.';
comment on column pause.domain is 'Recipient domain; null: all of the project, or of the site.';
comment on column pause.site is 'MX hosts, sorted, with commas between, or the name of a site.';
comment on column pause.actor_key is 'The API key that asked for it; null: the command line.';

create table paused_domain (
    pause_id uuid not null references pause (id) on delete cascade,
    domain text not null,
    seen_at timestamptz not null,
    primary key (pause_id, domain)
);
create index paused_domain_seen on paused_domain (seen_at);
comment on table paused_domain is 'Recipient domains that nodes found at a paused site: what claims put aside for it.';
comment on column paused_domain.seen_at is 'When it was last looked whether the domain is there.';

comment on column delivery.owner is '0 waiting, -1 held, -2 waiting for the end of a pause, else the incarnation of the node that claimed it.';
-- What a claim came upon while it was paused: found again when the pause ends.
create index delivery_parked on delivery (lane) where owner = -2;

alter table node add column drained_at timestamptz, add column drained_by text;
comment on column node.drained_at is 'Set by an operator: the node claims nothing until it is null again. A restarted process is a new row and serves.';

create table audit (
    id uuid primary key,
    project_id uuid,
    actor_key uuid,
    actor text not null,
    action text not null,
    target json not null,
    changed bigint,
    active bigint
);
create index audit_by_project on audit (project_id, id);
comment on table audit is 'Who changed what. The id is a UUIDv7 and carries the time. Rows are deleted after retention.audit_days.';
comment on column audit.project_id is 'Null: the change concerned the whole house. No reference: the record outlives the project.';
comment on column audit.actor_key is 'The API key; null: the command line.';
comment on column audit.actor is 'Name of the key at that time, or the user of the operating system.';
comment on column audit.target is 'What it was done to: a selection, an id.';
comment on column audit.changed is 'Deliveries changed so far, by a change of many.';
comment on column audit.active is 'Deliveries that were being worked on and so not changed.';
