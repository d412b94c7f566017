-- What a domain publishes beside its keys: how strictly senders shall keep to its mail hosts, and where its DKIM keys stand.

alter table domain add column mta_sts text not null default 'testing' check (mta_sts in ('off', 'none', 'testing', 'enforce'));
alter table domain add column dkim_zone text check (length(dkim_zone) between 1 and 253);
comment on column domain.mta_sts is 'The mode of the MTA-STS policy that is served for a domain that receives mail here (RFC 8461); off: none is served.';
comment on column domain.dkim_zone is 'The zone that its DKIM keys stand in, led to by CNAME records; null: they stand in its own.';
