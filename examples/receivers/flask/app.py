"""Receives Miniback webhooks with Flask."""
import base64
import hmac
import os
import re
import sys
import time

from flask import Flask, request

SECRET = os.environ["MINIBACK_SECRET"]
# The key of webhook-signature. The webhook-… headers are sent only for `whsec_` secrets.
try:
    KEY = base64.b64decode(SECRET.removeprefix("whsec_"), validate=True)
    IS_STANDARD = SECRET.startswith("whsec_") and 16 <= len(KEY) <= 64
except ValueError:
    IS_STANDARD = False

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


def is_equal(received, expected):
    """Compares in constant time, so a signature can't be guessed byte by byte."""
    return hmac.compare_digest(received.encode(), expected.encode())


def is_genuine(headers, body):
    # During a rotation, the second header uses the new secret.
    names = ("X-Miniback-Signature", "X-Miniback-Signature-Next")
    expected = hmac.digest(SECRET.encode(), body, "sha256").hex()
    if not any(is_equal(headers.get(name, ""), expected) for name in names):
        return False
    if not IS_STANDARD:
        return True
    # This signature also covers the delivery id and the time, which prevents replay attacks.
    sent_at = headers.get("webhook-timestamp", "")
    signed = f"{headers.get('X-Miniback-Delivery', '')}.{sent_at}.".encode() + body
    standard = "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
    received = headers.get("webhook-signature", "").split(" ")
    is_signed = any(is_equal(signature, standard) for signature in received)
    return is_signed and abs(time.time() - int(sent_at)) <= 5 * 60


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
    # The signature covers the raw body, so verify it before you parse the JSON.
    if not is_genuine(request.headers, request.get_data()):
        print_rejected("invalid signature or timestamp", request.headers, request.get_data())
        return "invalid signature\n", 401
    delivery = request.headers["X-Miniback-Delivery"]
    if delivery not in handled:
        handle(request.get_json())  # respond within 5 s; put longer work into a queue
        handled[delivery] = True
        if len(handled) > 10_000:
            del handled[next(iter(handled))]
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
