// Posts each new feedback, and each change of its status, to a channel of Discord.
import express from "express";
import { Webhook } from "standardwebhooks";

const { MINIBACK_SECRET, DISCORD_WEBHOOK_URL, PORT = 3000 } = process.env;
if (!MINIBACK_SECRET || !DISCORD_WEBHOOK_URL) throw new Error("Set MINIBACK_SECRET and DISCORD_WEBHOOK_URL.");
const webhook = new Webhook(MINIBACK_SECRET);
const handled = new Set(); // several processes would share a database table instead

function message({ event, data: { message, feedback, project, previousStatus } }) {
  if (!feedback) return { content: message }; // a `test`
  const isNew = event === "feedback.created";
  const title = isNew ? `New feedback: ${project.name}` : `${previousStatus} → ${feedback.status}: ${project.name}`;
  // Cut to what Discord takes.
  return { embeds: [{ title: title.slice(0, 256), description: feedback.message.slice(0, 4096) }] };
}

function post(event) {
  return fetch(DISCORD_WEBHOOK_URL, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    // Whoever writes @everyone in a feedback calls nobody.
    body: JSON.stringify({ ...message(event), allowed_mentions: { parse: [] } }),
    signal: AbortSignal.timeout(4000), // so that Miniback, which waits 5 s, hears what came of it
  });
}

const app = express();
app.post("/webhooks/miniback", express.raw({ type: () => true, limit: "1mb" }), async (request, response) => {
  let event;
  try {
    event = webhook.verify(request.body ?? "", request.headers);
  } catch {
    return response.status(401).send("invalid signature\n");
  }
  const delivery = request.get("webhook-id"); // the same as X-Miniback-Delivery, and signed
  if (!handled.has(delivery)) {
    handled.add(delivery);
    const answer = await post(event).catch((error) => error);
    if (!answer.ok) {
      handled.delete(delivery);
      // Miniback sends it again, and waits as long as Discord wants it to.
      const wait = answer.headers?.get("Retry-After");
      if (wait) response.set("Retry-After", wait);
      return response.status(503).send(`Discord: ${answer.status ?? answer.message}\n`);
    }
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  response.sendStatus(204);
});

// A web server that speaks https hands on to it.
const server = app.listen(PORT, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
