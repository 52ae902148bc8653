// imapflow's download() of part 2 of message 1, run as: node download.mjs FOLDER PORT TOKEN; prints one line of JSON.
// FOLDER holds node_modules/imapflow.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, port, accessToken] = process.argv.slice(2);
const require = createRequire(path.join(folder, "package.json"));
const { ImapFlow } = require("imapflow");

const client = new ImapFlow({
  host: "127.0.0.1",
  port: Number(port),
  secure: false,
  doSTARTTLS: false,
  auth: { user: "me@gmail.com", accessToken },
  logger: false,
});
await client.connect();
await client.mailboxOpen("INBOX");
const began = performance.now();
const { content } = await client.download("1", "2", { uid: true });
const hash = createHash("sha1");
for await (const chunk of content) hash.update(chunk);
const seconds = (performance.now() - began) / 1000;
await client.logout();
console.log(
  JSON.stringify({
    seconds,
    digest: hash.digest("hex"),
    peak_rss_mib: null,
    stall_ms: null,
    note: "download() as it comes: 64 KiB, one after another",
    version: require("imapflow/package.json").version,
  }),
);
process.exit(0);
