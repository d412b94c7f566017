-- Users who submit mail by SMTP.

create table smtp_user (
    id            uuid primary key,
    project_id    uuid not null references project (id) on delete cascade,
    username      text not null check (username = lower(username) and length(username) between 1 and 254),
    send_as       text[] not null,
    password_hash text not null,
    created_at    timestamptz not null default now(),
    changed_at    timestamptz not null default now(),
    last_used_at  timestamptz,
    constraint smtp_user_username unique (username)
);
create index smtp_user_by_project on smtp_user (project_id, id);
comment on table smtp_user is 'Users of the submission ports. A password is made by the program, shown once and never stored.';
comment on column smtp_user.username is 'An address or a plain name, lower case; unique over all projects, because signing in names no project.';
comment on column smtp_user.send_as is 'Senders allowed beside the user''s own address: addresses, *@domain, *@*.domain, or *.';
comment on column smtp_user.password_hash is 'Argon2id as a PHC string, with its parameters and salt.';
comment on column smtp_user.changed_at is 'When the password was made.';
comment on column smtp_user.last_used_at is 'Written at most once a minute.';
