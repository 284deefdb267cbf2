// Opens an issue on GitHub for each new feedback. For Linear or Jira, change `open` alone.
import express from "express";
import { Webhook } from "standardwebhooks";

const { MINIBACK_SECRET, GITHUB_TOKEN, GITHUB_REPOSITORY, PORT = 3000 } = process.env;
const { GITHUB_API_URL = "https://api.github.com" } = process.env;
if (!MINIBACK_SECRET || !GITHUB_TOKEN || !GITHUB_REPOSITORY)
  throw new Error("Set MINIBACK_SECRET, GITHUB_TOKEN and GITHUB_REPOSITORY (owner/name).");
const webhook = new Webhook(MINIBACK_SECRET);
const handled = new Set(); // several processes would share a database table instead

function open({ feedback, project }) {
  const [title] = feedback.message.trim().split("\n");
  // As a block of code: what somebody wrote mentions nobody and links to nothing.
  const quoted = feedback.message.replace(/^/gm, "    ");
  return fetch(`${GITHUB_API_URL}/repos/${GITHUB_REPOSITORY}/issues`, {
    method: "POST",
    headers: {
      Accept: "application/vnd.github+json",
      Authorization: `Bearer ${GITHUB_TOKEN}`,
      "Content-Type": "application/json",
      "User-Agent": "miniback-ticket",
      "X-GitHub-Api-Version": "2022-11-28",
    },
    body: JSON.stringify({
      title: title.slice(0, 120),
      body: `${quoted}\n\n${project.name}, ${feedback.createdAt}, \`${feedback.id}\``,
      labels: ["feedback"],
    }),
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
  if (event.event === "feedback.created" && !handled.has(delivery)) {
    handled.add(delivery);
    const answer = await open(event.data).catch((error) => error);
    if (!answer.ok) {
      handled.delete(delivery); // Miniback sends it again
      return response.status(503).send(`GitHub: ${answer.status ?? answer.message}\n`);
    }
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  response.sendStatus(204);
});

// A web server that speaks https hands on to it.
const server = app.listen(PORT, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
