-- What waits for the end of a pause is looked through in short steps, each of which goes on where the last one ended.

create index delivery_parked_by_key on delivery (lane, message_id, rcpt_no) where owner = -2;
drop index delivery_parked;
