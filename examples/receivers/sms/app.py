"""Sends an SMS through Twilio for new feedback that contains "urgent"."""
import base64
import os
import re
import sys
import urllib.parse
import urllib.request

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["MINIBACK_SECRET"])
API = os.environ.get("TWILIO_API_URL", "https://api.twilio.com")
ACCOUNT, TOKEN = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
SENDER, RECIPIENT = os.environ["TWILIO_FROM"], os.environ["SMS_TO"]
handled = {}  # delivery ids; with several processes, use a database table
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024


def is_urgent(event):
    if event["event"] != "feedback.created":  # ignore all other events
        return False
    return "urgent" in event["data"]["feedback"]["message"].lower()


def send_sms(text):
    basic = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    message = {"From": SENDER, "To": RECIPIENT, "Body": text[:300]}
    call = urllib.request.Request(
        f"{API}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data=urllib.parse.urlencode(message).encode(),
        headers={"Authorization": f"Basic {basic}"},
    )
    urllib.request.urlopen(call, timeout=4).close()  # Miniback waits 5 s for the response


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
    delivery = request.headers["webhook-id"]  # same as X-Miniback-Delivery, but signed
    if is_urgent(event) and delivery not in handled:
        handled[delivery] = True
        data = event["data"]
        try:
            send_sms(f"{data['project']['name']}: {data['feedback']['message']}")
        except OSError as error:  # connection error, timeout, or an error status
            del handled[delivery]  # Miniback retries the delivery
            return f"Twilio: {error}\n", 503
        if len(handled) > 10_000:
            del handled[next(iter(handled))]
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
