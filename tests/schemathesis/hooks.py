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
    (case.query or {}).pop("api_key", None)
    body = case.body
    if isinstance(body, dict) and "/webhooks" in case.operation.path:
        url = body.get("url")
        if isinstance(url, str) and len(url) <= 2048:
            body["url"] = re.sub(r"(?i)^\s*https?:[/\\]*[^/\\?#]*", CLOSED_PORT, url)
    if not case.meta.generation.mode.is_positive:
        return
    if "projectId" in (case.path_parameters or {}):
        case.path_parameters["projectId"] = PROJECT
    if case.operation.path.endswith("/feedback") and case.headers:
        # Miniback rejects a used key with another body, so use a new key for each call.
        if "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if case.operation.path == "/api/v1/feedback" and isinstance(body, dict):
        body["project"] = PROJECT
        if isinstance(body.get("url"), str):
            body["url"] = "https://example.com/checkout"
    # Replace about half of the delivery ids, so that unknown ids are tested too.
    if case.operation.path.startswith("/api/v1/deliveries/"):
        generated = (case.path_parameters or {}).get("id")
        if isinstance(generated, str) and ord(generated[4:5] or "0") % 2:
            case.path_parameters["id"] = DELIVERY
