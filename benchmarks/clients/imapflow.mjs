// imapflow, run as: node imapflow.mjs FOLDER CASE COUNT PORT [CA]; prints one line of JSON as child.py does.
// FOLDER holds node_modules/imapflow.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const [folder, benchmark, count, port, ca] = process.argv.slice(2);
const require = createRequire(path.join(folder, "package.json"));
const { ImapFlow } = require("imapflow");

const memory = (name) => {
  try {
    return Number(readFileSync("/proc/self/status", "utf8").match(new RegExp(`^${name}:\\s+(\\d+)`, "m"))[1]);
  } catch {
    return null;
  }
};
try {
  writeFileSync("/proc/self/clear_refs", "5");
} catch {
  /* the peak counts from the start of the process, then */
}
const base = memory("VmRSS");

const client = new ImapFlow({
  host: ca ? "localhost" : "127.0.0.1",
  port: Number(port),
  secure: Boolean(ca),
  doSTARTTLS: false,
  tls: ca ? { ca: readFileSync(ca) } : undefined,
  auth: { user: "me@gmail.com", accessToken: "ya29.benchmark-token" },
  logger: false,
});
await client.connect();
await client.mailboxOpen("INBOX");

const sums = {};
const add = (values) => {
  for (const [name, value] of Object.entries(values)) sums[name] = (sums[name] ?? 0n) + BigInt(value);
};
const flags = async (range) => {
  let rows = 0, uids = 0, marks = 0, modseqs = 0n, ids = 0n;
  for await (const message of client.fetch(range, { uid: true, flags: true, threadId: true }, { uid: true })) {
    rows++;
    uids += message.uid;
    marks += message.flags.size;
    ids += BigInt(message.emailId) + BigInt(message.threadId);
    modseqs += message.modseq;
  }
  add({ rows, uids, flags: marks, ids, modseqs });
};
const envelope = async (range) => {
  let rows = 0, uids = 0, marks = 0, labels = 0, sizes = 0, dates = 0, subjects = 0, senders = 0;
  const items = { uid: true, flags: true, labels: true, size: true, internalDate: true, envelope: true };
  for await (const message of client.fetch(range, items, { uid: true })) {
    rows++;
    uids += message.uid;
    marks += message.flags.size;
    labels += message.labels.size;
    sizes += message.size;
    dates += message.internalDate.getUTCMinutes();
    subjects += message.envelope.subject.length;
    const sender = message.envelope.from[0];
    senders += (sender.name ?? "").length + sender.address.length;
  }
  add({ rows, uids, flags: marks, labels, sizes, dates, subjects, senders });
};
const hashed = (uid, hash, octets) => {
  add({ rows: 1, uids: uid, octets, digest: BigInt("0x" + hash.digest("hex").slice(0, 16)) });
  sums.digest %= 1n << 64n;
};
const bodies = async (range) => {
  for await (const message of client.fetch(range, { uid: true, source: true }, { uid: true })) {
    hashed(message.uid, createHash("sha1").update(message.source), message.source.length);
  }
};
const huge = async () => {
  for (const uid of await client.search({ all: true }, { uid: true })) {
    const { content } = await client.download(String(uid), undefined, { uid: true, chunkSize: 1024 * 1024 });
    const hash = createHash("sha1");
    let octets = 0;
    for await (const chunk of content) {
      hash.update(chunk);
      octets += chunk.length;
    }
    hashed(uid, hash, octets);
  }
};

let stall = 0;
let last = performance.now();
const ticker = setInterval(() => {
  const now = performance.now();
  stall = Math.max(stall, now - last - 5);
  last = now;
}, 5);
await new Promise((resolve) => setTimeout(resolve, 10));
stall = 0;
const began = performance.now();
const computed = process.cpuUsage();
const half = Math.floor(count / 2);
if (benchmark === "flags") await flags(`1:${count}`);
else if (benchmark === "envelope") await envelope(`1:${count}`);
else if (benchmark === "mixed") {
  await flags(`1:${half}`);
  await envelope(`${half + 1}:${count}`);
} else if (benchmark === "huge") await huge();
else await bodies(`1:${count}`);
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(computed);
clearInterval(ticker);
const peak = memory("VmHWM");
await client.logout();
console.log(
  JSON.stringify(
    {
      seconds,
      cpu_seconds: (user + system) / 1e6,
      peak_rss_mib: peak === null || base === null ? null : Math.round((peak - base) / 102.4) / 10,
      stall_ms: Math.round(stall * 10) / 10,
      sums,
      note: benchmark === "huge" ? "download() in chunks of 1 MiB" : "",
      version: require("imapflow/package.json").version,
    },
    (_, value) => (typeof value === "bigint" ? JSON.rawJSON?.(String(value)) ?? String(value) : value),
  ),
);
process.exit(0);
