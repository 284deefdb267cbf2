// Posts new feedback and status changes to a Discord channel.
import express from "express";
import { Webhook } from "standardwebhooks";

const { MINIBACK_SECRET, DISCORD_WEBHOOK_URL, PORT = 3000 } = process.env;
if (!MINIBACK_SECRET || !DISCORD_WEBHOOK_URL) {
  throw new Error("Set MINIBACK_SECRET and DISCORD_WEBHOOK_URL.");
}
const webhook = new Webhook(MINIBACK_SECRET);
const EVENTS = ["feedback.created", "feedback.updated", "test"];
const handled = new Set(); // delivery ids; with several processes, use a database table

function discordMessage({ event, data: { message, feedback, project, previousStatus } }) {
  if (event === "test") return { content: message };
  const title =
    event === "feedback.created"
      ? `New feedback: ${project.name}`
      : `${previousStatus} → ${feedback.status}: ${project.name}`;
  // Discord accepts titles of at most 256 characters and descriptions of at most 4,096.
  return {
    embeds: [{ title: title.slice(0, 256), description: feedback.message.slice(0, 4096) }],
  };
}

function post(event) {
  return fetch(DISCORD_WEBHOOK_URL, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    // `parse: []` keeps @everyone in a message from notifying people.
    body: JSON.stringify({ ...discordMessage(event), allowed_mentions: { parse: [] } }),
    signal: AbortSignal.timeout(4000), // Miniback waits 5 s for the response
  });
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
const rawBody = express.raw({ type: () => true, limit: "1mb" });
app.post("/webhooks/miniback", rawBody, async (request, response) => {
  const body = request.body ?? "";
  let event;
  try {
    event = webhook.verify(body, request.headers);
  } catch (error) {
    printRejected(error.message, request.headers, body);
    return response.status(401).send("invalid signature\n");
  }
  const delivery = request.get("webhook-id"); // same as X-Miniback-Delivery, but signed
  // Ignore unknown events. Later versions of Miniback may add new events.
  if (EVENTS.includes(event.event) && !handled.has(delivery)) {
    handled.add(delivery);
    const result = await post(event).catch((error) => error);
    if (!result.ok) {
      handled.delete(delivery);
      // With a 503, Miniback retries, and waits as long as Discord requests.
      const wait = result.headers?.get("Retry-After");
      if (wait) response.set("Retry-After", wait);
      return response.status(503).send(`Discord: ${result.status ?? result.message}\n`);
    }
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  response.sendStatus(204);
});

// In production, run this behind an HTTPS reverse proxy.
const server = app.listen(PORT, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
