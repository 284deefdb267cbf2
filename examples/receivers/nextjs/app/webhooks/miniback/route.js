// app/webhooks/miniback/route.js: receives Miniback's webhooks with Next.js (App Router).
import crypto from "node:crypto";

const handled = new Set(); // several processes, or functions of a cloud, would share a database table instead

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

function isGenuine(secret, header, body) {
  // While the secret is being rotated, each event is signed by the old one and by the next one.
  const given = [header("X-Miniback-Signature"), header("X-Miniback-Signature-Next")];
  const expected = hmac(secret, "hex", body);
  if (!given.some((signature) => same(signature, expected))) return false;
  // What follows `whsec_` is the key of the webhook-… headers; a secret of another form has none, and they are not sent.
  const key = Buffer.from(secret.slice(6), "base64");
  const isStamped = secret === `whsec_${key.toString("base64")}` && key.length >= 16 && key.length <= 64;
  if (!isStamped) return true;
  // This signature is over id and time of sending too, so a recording that somebody plays back is refused.
  const sentAt = header("webhook-timestamp");
  const stamp = "v1," + hmac(key, "base64", `${header("X-Miniback-Delivery")}.${sentAt}.`, body);
  const isFresh = Math.abs(Date.now() / 1000 - sentAt) <= 5 * 60;
  return isFresh && header("webhook-signature").split(" ").some((signature) => same(signature, stamp));
}

export async function POST(request) {
  const secret = process.env.MINIBACK_SECRET;
  if (!secret) throw new Error("Set MINIBACK_SECRET to the signing secret of the webhook.");
  const header = (name) => request.headers.get(name) ?? "";
  // The signature is over the raw bytes, not over the JSON that they stand for.
  const body = Buffer.from(await request.arrayBuffer());
  if (!isGenuine(secret, header, body)) return new Response("invalid signature\n", { status: 401 });
  const delivery = header("X-Miniback-Delivery");
  if (!handled.has(delivery)) {
    handle(JSON.parse(body)); // Miniback waits 5 s: what may take longer belongs in a queue
    handled.add(delivery);
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  return new Response(null, { status: 204 });
}
