"""Adapts the requests that schemathesis generates.

In webhook URLs, the URL of a closed port on loopback replaces the scheme, host, and port. So no
request or DNS lookup leaves the machine. URLs that Miniback rejects anyway (too long, or not HTTP)
stay unchanged.

Random values rarely match existing data. Most valid calls therefore use the project and the
delivery that the test created, and a valid page URL.
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
    # Every call has a valid token in `Authorization`. A call with a second, random token returns
    # 401.
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
        # Miniback rejects a used key with another body, so use a new key for each call.
        if case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # Replace about half of the delivery ids, so that unknown ids are tested too.
    if case.operation.path.startswith("/api/v1/deliveries/"):
        generated = (case.path_parameters or {}).get("id")
        if isinstance(generated, str) and ord(generated[4:5] or "0") % 2:
            case.path_parameters["id"] = DELIVERY
