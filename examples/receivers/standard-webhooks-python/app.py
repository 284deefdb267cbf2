"""Receives Miniback's webhooks with the Standard Webhooks library and Flask."""
import os

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["MINIBACK_SECRET"])
handled = {}  # several processes would share a database table instead
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024


def handle(event, data):
    feedback = data.get("feedback")  # a `test` has none
    print(event, ascii(feedback["message"] if feedback else data["message"]), flush=True)


@app.post("/webhooks/miniback")
def miniback():
    try:
        # Over the raw bytes; compares in constant time, and refuses what was sent more than 5 minutes ago.
        event = webhook.verify(request.get_data(), request.headers)
    except (WebhookVerificationError, ValueError):  # ValueError: headers that are no signature at all
        return "invalid signature\n", 401
    delivery = request.headers["webhook-id"]  # the same as X-Miniback-Delivery, and signed
    if delivery not in handled:
        handle(event["event"], event["data"])  # Miniback waits 5 s: what may take longer belongs in a queue
        handled[delivery] = True
        if len(handled) > 10_000:
            del handled[next(iter(handled))]
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
