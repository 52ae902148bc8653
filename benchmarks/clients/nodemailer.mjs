// One run of nodemailer's pool: node nodemailer.mjs FOLDER COUNT PORT prints one line of JSON.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [folder, count, port, file] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const nodemailer = require("nodemailer");
const raw = readFileSync(file);
const transport = nodemailer.createTransport({
    host: "127.0.0.1",
    port: Number(port),
    secure: false,
    ignoreTLS: true,
    pool: true,
    maxConnections: 2,
    maxMessages: Infinity,
    auth: { type: "OAuth2", user: "me@gmail.com", accessToken: "ya29.benchmark-token" },
});
const envelope = { from: "me@gmail.com", to: ["you@example.org"] };
await Promise.all([1, 2].map(() => transport.sendMail({ envelope, raw })));
const began = performance.now();
await Promise.all(Array.from({ length: Number(count) }, () => transport.sendMail({ envelope, raw })));
const seconds = (performance.now() - began) / 1000;
transport.close();
console.log(JSON.stringify({ seconds, version: require("nodemailer/package.json").version, peak_rss_mib: null, stall_ms: null }));
