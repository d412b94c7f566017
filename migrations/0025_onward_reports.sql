-- What was asked of delivery reports goes on to the next hop, whose reports of success may come back to us.

alter table notice add column reported jsonb not null default '{}';
comment on column notice.reported is 'By the place of a recipient: the success that was reported to our bounce address, for the author who asked for it.';
comment on column message.flags is 'Bit 0: has octets above 127 in the body; bit 1: needs SMTPUTF8; bit 2: REQUIRETLS; bit 3: TLS-Required: No (RFC 8689); bit 4: metadata.dsn says what was asked of delivery reports (RFC 3461).';
