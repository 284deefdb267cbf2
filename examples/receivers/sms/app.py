"""Sends an SMS through Twilio for new feedback that contains "urgent"."""
import base64
import os
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


def send_sms(text):
    basic = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    message = {"From": SENDER, "To": RECIPIENT, "Body": text[:300]}
    call = urllib.request.Request(
        f"{API}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data=urllib.parse.urlencode(message).encode(),
        headers={"Authorization": f"Basic {basic}"},
    )
    urllib.request.urlopen(call, timeout=4).close()  # Miniback waits 5 s for the response


@app.post("/webhooks/miniback")
def miniback():
    try:
        event = webhook.verify(request.get_data(), request.headers)
    except (WebhookVerificationError, ValueError):  # ValueError: malformed headers
        return "invalid signature\n", 401
    feedback = event["data"].get("feedback")  # a `test` event has none
    is_new = event["event"] == "feedback.created"
    is_urgent = is_new and "urgent" in feedback["message"].lower()
    delivery = request.headers["webhook-id"]  # same as X-Miniback-Delivery, but signed
    if is_urgent and delivery not in handled:
        handled[delivery] = True
        try:
            send_sms(f"{event['data']['project']['name']}: {feedback['message']}")
        except OSError as error:  # connection error, timeout, or an error status
            del handled[delivery]  # Miniback retries the delivery
            return f"Twilio: {error}\n", 503
        if len(handled) > 10_000:
            del handled[next(iter(handled))]
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
