// A Pennypost client: openapi-fetch on the types of schema.d.ts.
import createClient from "openapi-fetch";

/**
 * @param {{ baseUrl: string, key: string }} options Where the server is, and an API key.
 * @returns {import("openapi-fetch").Client<import("./schema.js").paths>}
 */
export function pennypost({ baseUrl, key }) {
  return createClient({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
}
