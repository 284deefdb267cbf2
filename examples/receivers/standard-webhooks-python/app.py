"""Receives Miniback webhooks with the Standard Webhooks library and Flask."""
import os

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


@app.post("/webhooks/miniback")
def miniback():
    try:
        # Compares the signatures in constant time, and rejects timestamps more than 5 minutes off.
        event = webhook.verify(request.get_data(), request.headers)
    except (WebhookVerificationError, ValueError):  # ValueError: malformed headers
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
