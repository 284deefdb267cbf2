// Receives Miniback webhooks with Express.
import crypto from "node:crypto";
import express from "express";

const { MINIBACK_SECRET: SECRET, PORT = 3000 } = process.env;
if (!SECRET) throw new Error("Set MINIBACK_SECRET to the webhook's secret.");
// The key of webhook-signature. The webhook-… headers are sent only for `whsec_` secrets.
const KEY = Buffer.from(SECRET.slice(6), "base64");
const IS_STANDARD =
  SECRET === `whsec_${KEY.toString("base64")}` && KEY.length >= 16 && KEY.length <= 64;

const handled = new Set(); // delivery ids; with several processes, use a database table

function handle({ event, data }) {
  if (event === "feedback.created" || event === "feedback.updated") {
    console.log(event, JSON.stringify(data.feedback.message));
  } else if (event === "test") {
    console.log(event, data.message); // a test has no feedback
  }
  // Ignore unknown events. Later versions of Miniback may add new events.
}

const hmac = (key, encoding, ...parts) =>
  parts.reduce((mac, part) => mac.update(part), crypto.createHmac("sha256", key)).digest(encoding);

// Compares in constant time, so a signature can't be guessed byte by byte.
function isEqual(received, expected) {
  const [a, b] = [Buffer.from(received), Buffer.from(expected)];
  return a.length === b.length && crypto.timingSafeEqual(a, b);
}

function isGenuine(header, body) {
  // During a rotation, the second header uses the new secret.
  const received = [header("X-Miniback-Signature"), header("X-Miniback-Signature-Next")];
  const expected = hmac(SECRET, "hex", body);
  if (!received.some((signature) => isEqual(signature, expected))) return false;
  if (!IS_STANDARD) return true;
  // This signature also covers the delivery id and the time, which prevents replay attacks.
  const sentAt = header("webhook-timestamp");
  const id = header("X-Miniback-Delivery");
  const standard = "v1," + hmac(KEY, "base64", `${id}.${sentAt}.`, body);
  const isRecent = Math.abs(Date.now() / 1000 - sentAt) <= 5 * 60;
  return isRecent && header("webhook-signature").split(" ").some((s) => isEqual(s, standard));
}

// Prints a rejected request. Paste it into "Check a signature" in Miniback to find out why.
function printRejected(reason, headers, body) {
  const received = Object.entries(headers).filter(([name]) => /^(x-miniback|webhook)-/.test(name));
  const headerLines = received.map((pair) => pair.join(": "));
  const lines = [`rejected: ${reason}`, ...headerLines, "", String(body)];
  // Replace control characters, which a terminal would interpret.
  console.error(lines.map((line) => line.replace(/\p{Cc}/gu, "?")).join("\n"));
}

const app = express();
// The signature covers the raw body, so don't parse JSON before this route.
const rawBody = express.raw({ type: () => true, limit: "1mb" });
app.post("/webhooks/miniback", rawBody, (request, response) => {
  const header = (name) => request.get(name) ?? "";
  const body = request.body ?? "";
  if (!isGenuine(header, body)) {
    printRejected("invalid signature or timestamp", request.headers, body);
    return response.status(401).send("invalid signature\n");
  }
  const delivery = header("X-Miniback-Delivery");
  if (!handled.has(delivery)) {
    handle(JSON.parse(body)); // respond within 5 s; put longer work into a queue
    handled.add(delivery);
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  response.sendStatus(204);
});

// In production, run this behind an HTTPS reverse proxy.
const server = app.listen(PORT, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
