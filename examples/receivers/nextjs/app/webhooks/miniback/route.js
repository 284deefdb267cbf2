// app/webhooks/miniback/route.js: receives Miniback webhooks with Next.js (App Router).
import crypto from "node:crypto";

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

function isGenuine(secret, header, body) {
  // During a rotation, the second header uses the new secret.
  const received = [header("X-Miniback-Signature"), header("X-Miniback-Signature-Next")];
  const expected = hmac(secret, "hex", body);
  if (!received.some((signature) => isEqual(signature, expected))) return false;
  // The key of webhook-signature. The webhook-… headers are sent only for `whsec_` secrets.
  const key = Buffer.from(secret.slice(6), "base64");
  const isStandard = secret === `whsec_${key.toString("base64")}`;
  if (!isStandard || key.length < 16 || key.length > 64) return true;
  // This signature also covers the delivery id and the time, which prevents replay attacks.
  const sentAt = header("webhook-timestamp");
  const id = header("X-Miniback-Delivery");
  const standard = "v1," + hmac(key, "base64", `${id}.${sentAt}.`, body);
  const isRecent = Math.abs(Date.now() / 1000 - sentAt) <= 5 * 60;
  return isRecent && header("webhook-signature").split(" ").some((s) => isEqual(s, standard));
}

// Prints a rejected request. Paste it into "Check a signature" in Miniback to find out why.
function printRejected(reason, headers, body) {
  const received = [...headers].filter(([name]) => /^(x-miniback|webhook)-/.test(name));
  const headerLines = received.map((pair) => pair.join(": "));
  const lines = [`rejected: ${reason}`, ...headerLines, "", String(body)];
  // Replace control characters, which a terminal would interpret.
  console.error(lines.map((line) => line.replace(/\p{Cc}/gu, "?")).join("\n"));
}

export async function POST(request) {
  const secret = process.env.MINIBACK_SECRET;
  if (!secret) throw new Error("Set MINIBACK_SECRET to the webhook's secret.");
  const header = (name) => request.headers.get(name) ?? "";
  // The signature covers the raw body, so verify it before you parse the JSON.
  const body = Buffer.from(await request.arrayBuffer());
  if (!isGenuine(secret, header, body)) {
    printRejected("invalid signature or timestamp", request.headers, body);
    return new Response("invalid signature\n", { status: 401 });
  }
  const delivery = header("X-Miniback-Delivery");
  if (!handled.has(delivery)) {
    handle(JSON.parse(body)); // respond within 5 s; put longer work into a queue
    handled.add(delivery);
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  return new Response(null, { status: 204 });
}
