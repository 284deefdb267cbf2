// Receives Miniback's webhooks with Express.
import crypto from "node:crypto";
import express from "express";

const { MINIBACK_SECRET: SECRET, PORT = 3000 } = process.env;
if (!SECRET) throw new Error("Set MINIBACK_SECRET to the signing secret of the webhook.");
// What follows `whsec_` is the key of the webhook-… headers; a secret of another form has none, and they are not sent.
const KEY = Buffer.from(SECRET.slice(6), "base64");
const STAMPED = SECRET === `whsec_${KEY.toString("base64")}` && KEY.length >= 16 && KEY.length <= 64;

const handled = new Set(); // several processes would share a database table instead

function handle({ event, data }) {
  // A `test` has no feedback.
  console.log(event, JSON.stringify(data.feedback?.message ?? data.message));
}

const hmac = (key, encoding, ...parts) =>
  parts.reduce((mac, part) => mac.update(part), crypto.createHmac("sha256", key)).digest(encoding);

// Takes the same time wherever the two differ: else a signature could be guessed byte by byte.
function same(given, expected) {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && crypto.timingSafeEqual(a, b);
}

function isGenuine(header, body) {
  // While the secret is being rotated, each event is signed by the old one and by the next one.
  const given = [header("X-Miniback-Signature"), header("X-Miniback-Signature-Next")];
  const expected = hmac(SECRET, "hex", body);
  if (!given.some((signature) => same(signature, expected))) return false;
  if (!STAMPED) return true;
  // This signature is over id and time of sending too, so a recording that somebody plays back is refused.
  const sentAt = header("webhook-timestamp");
  const stamp = "v1," + hmac(KEY, "base64", `${header("X-Miniback-Delivery")}.${sentAt}.`, body);
  const isFresh = Math.abs(Date.now() / 1000 - sentAt) <= 5 * 60;
  return isFresh && header("webhook-signature").split(" ").some((signature) => same(signature, stamp));
}

const app = express();
// The signature is over the raw bytes: no JSON parser may come before it.
app.post("/webhooks/miniback", express.raw({ type: () => true, limit: "1mb" }), (request, response) => {
  const header = (name) => request.get(name) ?? "";
  const body = request.body ?? "";
  if (!isGenuine(header, body)) return response.status(401).send("invalid signature\n");
  const delivery = header("X-Miniback-Delivery");
  if (!handled.has(delivery)) {
    handle(JSON.parse(body)); // Miniback waits 5 s: what may take longer belongs in a queue
    handled.add(delivery);
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  response.sendStatus(204);
});

// A web server that speaks https hands on to it.
const server = app.listen(PORT, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
