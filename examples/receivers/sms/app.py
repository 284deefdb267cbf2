"""Sends an SMS through Twilio for each new feedback that says "urgent"."""
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
handled = {}  # several processes would share a database table instead
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024


def send_sms(text):
    basic = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    call = urllib.request.Request(
        f"{API}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data=urllib.parse.urlencode({"From": SENDER, "To": RECIPIENT, "Body": text[:300]}).encode(),
        headers={"Authorization": f"Basic {basic}"},
    )
    # So that Miniback, which waits 5 s, hears what came of it.
    urllib.request.urlopen(call, timeout=4).close()


@app.post("/webhooks/miniback")
def miniback():
    try:
        event = webhook.verify(request.get_data(), request.headers)
    except (WebhookVerificationError, ValueError):  # ValueError: headers that are no signature at all
        return "invalid signature\n", 401
    feedback = event["data"].get("feedback")  # a `test` has none
    is_urgent = event["event"] == "feedback.created" and "urgent" in feedback["message"].lower()
    delivery = request.headers["webhook-id"]  # the same as X-Miniback-Delivery, and signed
    if is_urgent and delivery not in handled:
        handled[delivery] = True
        try:
            send_sms(f"{event['data']['project']['name']}: {feedback['message']}")
        except OSError as error:  # no connection, no answer in time, or an answer that is no success
            del handled[delivery]  # Miniback sends it again
            return f"Twilio: {error}\n", 503
        if len(handled) > 10_000:
            del handled[next(iter(handled))]
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "3000")))
