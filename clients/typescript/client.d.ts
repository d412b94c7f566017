import type { Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

/** The shapes of requests and answers, by name. */
export type Schemas = components["schemas"];

/** A client of the server at `baseUrl` with an API key. */
export function pennypost(options: { baseUrl: string; key: string }): Client<paths>;
