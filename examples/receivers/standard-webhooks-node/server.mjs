// Receives Miniback webhooks with the Standard Webhooks library, without a framework.
import http from "node:http";
import { Webhook } from "standardwebhooks";

const { MINIBACK_SECRET: SECRET, PORT = 3000 } = process.env;
if (!SECRET) throw new Error("Set MINIBACK_SECRET to the webhook's secret.");
const webhook = new Webhook(SECRET);
const handled = new Set(); // delivery ids; with several processes, use a database table

function handle({ event, data }) {
  if (event === "feedback.created" || event === "feedback.updated") {
    console.log(event, JSON.stringify(data.feedback.message));
  } else if (event === "test") {
    console.log(event, data.message); // a test has no feedback
  }
  // Ignore unknown events. Later versions of Miniback may add new events.
}

// Prints a rejected request. Paste it into "Check a signature" in Miniback to find out why.
function printRejected(reason, headers, body) {
  const received = Object.entries(headers).filter(([name]) => /^(x-miniback|webhook)-/.test(name));
  const headerLines = received.map((pair) => pair.join(": "));
  const lines = [`rejected: ${reason}`, ...headerLines, "", String(body)];
  // Replace control characters, which a terminal would interpret.
  console.error(lines.map((line) => line.replace(/\p{Cc}/gu, "?")).join("\n"));
}

// Reads the raw body, which the signature covers. Returns an empty body if more than 1 MB arrives.
// Miniback never sends that much.
async function rawBody(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > 1_000_000) return Buffer.alloc(0);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function receive(request) {
  const path = request.url.split("?")[0];
  if (request.method !== "POST" || path !== "/webhooks/miniback") return 404;
  const body = await rawBody(request);
  let event;
  try {
    // Compares the signatures in constant time, and rejects timestamps more than 5 minutes off.
    event = webhook.verify(body, request.headers);
  } catch (error) {
    printRejected(error.message, request.headers, body);
    return 401;
  }
  const delivery = request.headers["webhook-id"]; // same as X-Miniback-Delivery, but signed
  if (!handled.has(delivery)) {
    handle(event); // respond within 5 s; put longer work into a queue
    handled.add(delivery);
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  return 204;
}

const server = http.createServer((request, response) =>
  receive(request)
    .catch((error) => (console.error(error), 500))
    .then((status) => response.writeHead(status).end()),
);
// In production, run this behind an HTTPS reverse proxy.
server.listen(PORT, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
