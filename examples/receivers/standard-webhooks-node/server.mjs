// Receives Miniback's webhooks with the Standard Webhooks library and nothing else.
import http from "node:http";
import { Webhook } from "standardwebhooks";

const { MINIBACK_SECRET: SECRET, PORT = 3000 } = process.env;
if (!SECRET) throw new Error("Set MINIBACK_SECRET to the signing secret of the webhook.");
const webhook = new Webhook(SECRET);
const handled = new Set(); // several processes would share a database table instead

function handle({ event, data }) {
  // A `test` has no feedback.
  console.log(event, JSON.stringify(data.feedback?.message ?? data.message));
}

// The signature is over the raw bytes. Nothing that is longer than 1 MB comes from Miniback.
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
  if (request.method !== "POST" || request.url.split("?")[0] !== "/webhooks/miniback") return 404;
  const body = await rawBody(request);
  let event;
  try {
    // Compares in constant time, and refuses what was sent more than 5 minutes ago.
    event = webhook.verify(body, request.headers);
  } catch {
    return 401;
  }
  // The same as X-Miniback-Delivery, and signed.
  const delivery = request.headers["webhook-id"];
  if (!handled.has(delivery)) {
    handle(event); // Miniback waits 5 s: what may take longer belongs in a queue
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
// A web server that speaks https hands on to it.
server.listen(PORT, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
