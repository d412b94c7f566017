// Sends a message with the typed client and reads it back.
//
// Needs PENNYPOST_URL and PENNYPOST_KEY (scope full or send); PENNYPOST_FROM and PENNYPOST_TO may name the addresses.
// Prints the message's id. Exits 0 if the message reads back as it was sent and a wrong one is refused as documented.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { pennypost } from "./client.js";

const { PENNYPOST_URL, PENNYPOST_KEY, PENNYPOST_FROM = "hello@example.com", PENNYPOST_TO = "a@example.net" } = process.env;
assert(PENNYPOST_URL && PENNYPOST_KEY, "set PENNYPOST_URL and PENNYPOST_KEY");
const client = pennypost({ baseUrl: PENNYPOST_URL, key: PENNYPOST_KEY });

/** @type {import("./client.js").Schemas["SendRequest"]} */
const body = { from: `Smoke <${PENNYPOST_FROM}>`, to: [PENNYPOST_TO], subject: "From TypeScript", text: "Hello", tags: { flow: "smoke" } };
const params = { header: { "Idempotency-Key": `smoke-${randomUUID()}` } };
const sent = await client.POST("/v1/send", { body, params });
assert(sent.data, JSON.stringify(sent.error));
const again = await client.POST("/v1/send", { body, params });
assert.equal(again.data?.id, sent.data.id);

const message = await client.GET("/v1/messages/{id}", { params: { path: { id: sent.data.id } } });
assert(message.data, JSON.stringify(message.error));
assert.equal(message.data.subject, "From TypeScript");
assert.equal(message.data.deliveries.length, 1);

const refused = await client.POST("/v1/send", { body: { from: "nobody", to: PENNYPOST_TO, subject: "", text: "" } });
assert.equal(refused.response.status, 422);
assert.equal(refused.error?.type, "invalid-address");
console.log(sent.data.id);
