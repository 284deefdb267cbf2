"""Stores all feedback, with its current status, in a SQLite database."""
import os
import re
import sqlite3
import sys
from contextlib import closing

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["MINIBACK_SECRET"])
DATABASE = os.environ.get("DATABASE", "feedback.db")
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024

SCHEMA = """
CREATE TABLE IF NOT EXISTS delivery (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS feedback (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, message TEXT NOT NULL, status TEXT NOT NULL,
  created_at TEXT NOT NULL, changed_at TEXT NOT NULL
);
"""
# Events can arrive in any order. An older event must not overwrite a newer status.
STORE = """
INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE
SET project = excluded.project, status = excluded.status, changed_at = excluded.changed_at
WHERE excluded.changed_at >= feedback.changed_at
"""
with closing(sqlite3.connect(DATABASE)) as database:
    database.executescript(SCHEMA)


def store(delivery, event):
    # One transaction stores both rows. If it fails, Miniback sends the event again.
    with closing(sqlite3.connect(DATABASE, timeout=4)) as database, database:
        insert = "INSERT OR IGNORE INTO delivery VALUES (?)"
        is_new = database.execute(insert, [delivery]).rowcount == 1
        # Ignore other events, such as `test`, which has no feedback.
        if is_new and event["event"] in ("feedback.created", "feedback.updated"):
            feedback, project = event["data"]["feedback"], event["data"]["project"]
            row = [feedback[name] for name in ("id", "message", "status", "createdAt")]
            database.execute(STORE, [row[0], project["slug"], *row[1:], event["timestamp"]])


def print_rejected(reason, headers, body):
    """Prints a rejected request. Paste it into "Check a signature" in Miniback to find out why."""
    names = ("x-miniback-", "webhook-")
    received = [f"{name}: {value}" for name, value in headers if name.lower().startswith(names)]
    lines = [f"rejected: {reason}", *received, "", body.decode(errors="replace")]
    # Replace control characters, which a terminal would interpret.
    lines = [re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", line) for line in lines]
    print(*lines, sep="\n", file=sys.stderr, flush=True)


@app.post("/webhooks/miniback")
def miniback():
    try:
        event = webhook.verify(request.get_data(), request.headers)
    except (WebhookVerificationError, ValueError) as error:  # ValueError: malformed headers
        print_rejected(error, request.headers, request.get_data())
        return "invalid signature\n", 401
    store(request.headers["webhook-id"], event)  # same as X-Miniback-Delivery, but signed
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
