"""Receives Miniback's webhooks with Flask."""
import base64
import hmac
import os
import time

from flask import Flask, request

SECRET = os.environ["MINIBACK_SECRET"]
# What follows `whsec_` is the key of the webhook-… headers; a secret of another form has none, and they are not sent.
try:
    KEY = base64.b64decode(SECRET.removeprefix("whsec_"), validate=True)
    STAMPED = SECRET.startswith("whsec_") and 16 <= len(KEY) <= 64
except ValueError:
    STAMPED = False

handled = {}  # several processes would share a database table instead
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024


def handle(event, data):
    feedback = data.get("feedback")  # a `test` has none
    print(event, ascii(feedback["message"] if feedback else data["message"]), flush=True)


def same(given, expected):
    """Takes the same time wherever the two differ: else a signature could be guessed byte by byte."""
    return hmac.compare_digest(given.encode(), expected.encode())


def is_genuine(headers, body):
    # While the secret is being rotated, each event is signed by the old one and by the next one.
    expected = hmac.digest(SECRET.encode(), body, "sha256").hex()
    names = ("X-Miniback-Signature", "X-Miniback-Signature-Next")
    if not any(same(headers.get(name, ""), expected) for name in names):
        return False
    if not STAMPED:
        return True
    # This signature is over id and time of sending too, so a recording that somebody plays back is refused.
    sent_at = headers.get("webhook-timestamp", "")
    signed = f"{headers.get('X-Miniback-Delivery', '')}.{sent_at}.".encode() + body
    stamp = "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(same(one, stamp) for one in given) and abs(time.time() - int(sent_at)) <= 5 * 60


@app.post("/webhooks/miniback")
def miniback():
    # The signature is over the raw bytes, not over the JSON that they stand for.
    if not is_genuine(request.headers, request.get_data()):
        return "invalid signature\n", 401
    delivery = request.headers["X-Miniback-Delivery"]
    if delivery not in handled:
        event = request.get_json()
        handle(event["event"], event["data"])  # Miniback waits 5 s: what may take longer belongs in a queue
        handled[delivery] = True
        if len(handled) > 10_000:
            del handled[next(iter(handled))]
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
