// Opens a GitHub issue for new feedback. For Linear or Jira, change only `openIssue`.
import express from "express";
import { Webhook } from "standardwebhooks";

const { MINIBACK_SECRET, GITHUB_TOKEN, GITHUB_REPOSITORY, PORT = 3000 } = process.env;
const { GITHUB_API_URL = "https://api.github.com" } = process.env;
if (!MINIBACK_SECRET || !GITHUB_TOKEN || !GITHUB_REPOSITORY) {
  throw new Error("Set MINIBACK_SECRET, GITHUB_TOKEN, and GITHUB_REPOSITORY (owner/name).");
}
const webhook = new Webhook(MINIBACK_SECRET);
const handled = new Set(); // delivery ids; with several processes, use a database table

function openIssue({ feedback, project }) {
  const [title] = feedback.message.trim().split("\n");
  // Indent the message as a code block, so that it can't mention people or create links.
  const quoted = feedback.message.replace(/^/gm, "    ");
  // Only webhooks with details send a link.
  const source = [project.name, feedback.createdAt, `\`${feedback.id}\``, feedback.link];
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
      body: `${quoted}\n\n${source.filter(Boolean).join(", ")}`,
      labels: ["feedback"],
    }),
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
  // Ignore all other events.
  if (event.event === "feedback.created" && !handled.has(delivery)) {
    handled.add(delivery);
    const result = await openIssue(event.data).catch((error) => error);
    if (!result.ok) {
      handled.delete(delivery); // Miniback retries the delivery
      return response.status(503).send(`GitHub: ${result.status ?? result.message}\n`);
    }
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
  }
  response.sendStatus(204);
});

// In production, run this behind an HTTPS reverse proxy.
const server = app.listen(PORT, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
