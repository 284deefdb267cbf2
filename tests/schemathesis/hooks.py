"""Adjusts the requests that schemathesis generates.

- Webhook URLs: every generated host is replaced by a port on loopback where nothing listens, so that
  nothing leaves this machine, not even a DNS lookup. URLs that are invalid anyway stay unchanged.
- Existing items: most valid requests use the project and the delivery that the test created, because
  random values would rarely match them.
"""

import os
import re
import uuid

import schemathesis

CLOSED_PORT = "http://127.0.0.1:9"
PROJECT = os.environ["MINIBACK_TEST_PROJECT"]
DELIVERY = os.environ["MINIBACK_TEST_DELIVERY"]


@schemathesis.hook
def before_call(context, case, kwargs):
    # All requests have a valid token. A second, generated token in X-API-Key would make each of them
    # a 401.
    for name in [name for name in case.headers or {} if name.lower() == "x-api-key"]:
        del case.headers[name]
    body = case.body
    if isinstance(body, dict) and "/webhooks" in case.operation.path:
        url = body.get("url")
        if isinstance(url, str) and len(url) <= 2048:
            body["url"] = re.sub(r"(?i)^\s*https?:[/\\]*[^/\\?#]*", CLOSED_PORT, url)
    if not case.meta.generation.mode.is_positive:
        return
    if case.operation.path == "/api/v1/feedback" and isinstance(body, dict):
        body["project"] = PROJECT
        if isinstance(body.get("url"), str):
            body["url"] = "https://example.com/checkout"
        # Use a new key each time: a known key with another body is rejected.
        if case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # Use the existing delivery in half of the requests, so that unknown ids are tested too.
    name = (case.path_parameters or {}).get("id")
    if case.operation.path.startswith("/api/v1/deliveries/") and isinstance(name, str) and ord(name[4:5] or "0") % 2:
        case.path_parameters["id"] = DELIVERY
