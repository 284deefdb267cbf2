"""Receives Miniback webhooks with the Standard Webhooks library and Flask."""
import os
import re
import sys

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["MINIBACK_SECRET"])
handled = {}  # delivery ids; with several processes, use a database table
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024


def handle(event):
    name = event["event"]
    if name in ("feedback.created", "feedback.updated"):
        print(name, ascii(event["data"]["feedback"]["message"]), flush=True)
    elif name == "test":  # a test has no feedback
        print(name, ascii(event["data"]["message"]), flush=True)
    # Ignore unknown events. Later versions of Miniback may add new events.


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
        # Compares the signatures in constant time, and rejects timestamps more than 5 minutes off.
        event = webhook.verify(request.get_data(), request.headers)
    except (WebhookVerificationError, ValueError) as error:  # ValueError: malformed headers
        print_rejected(error, request.headers, request.get_data())
        return "invalid signature\n", 401
    delivery = request.headers["webhook-id"]  # same as X-Miniback-Delivery, but signed
    if delivery not in handled:
        handle(event)  # respond within 5 s; put longer work into a queue
        handled[delivery] = True
        if len(handled) > 10_000:
            del handled[next(iter(handled))]
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
