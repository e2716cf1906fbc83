"""Receive what moderation-worker decided, by webhook: checked, once each, with the standard library alone.

MODERATION_WEBHOOK_SECRET=whsec_... python examples/receive_webhook.py --port 8080

Signed as https://www.standardwebhooks.com says; there are libraries for most languages. Every event has the
same top level, whatever its type: `submission`, `action` (what is in force now), `decided_by` and `sequence`.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE_SECONDS = 300
MAX_BYTES = 1024 * 1024

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--port", type=int, default=8080)
options = arguments.parse_args()
key = base64.b64decode(os.environ["MODERATION_WEBHOOK_SECRET"].removeprefix("whsec_"))

# Yours are a table with a unique column, and a column beside your upload: read and written in the transaction
# of what you do about an event.
seen: set[str] = set()
sequences: dict[str, int] = {}
lock = threading.Lock()


def take(event: dict[str, Any]) -> None:
    """Do what is in force now about a submission, unless we did something newer."""
    with lock:
        # Events come again if our answer did not arrive, and an older one can come after a newer one.
        if event["id"] in seen or event["sequence"] < sequences.get(event["submission"], 0):
            return
        seen.add(event["id"])
        sequences[event["submission"]] = event["sequence"]
        # No action: the submission was refused, and nothing is decided.
        print(event["submission"], event["action"], event["decided_by"], event["type"], flush=True)


def is_authentic(event_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """Whether the body was signed by who knows the secret, and not long ago."""
    try:
        age = abs(time.time() - int(timestamp))
    except ValueError:
        return False
    signed = f"{event_id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    # Several while the secret is changed; compared in a time that tells nothing about it.
    matches = [hmac.compare_digest(expected, one.encode()) for one in signatures.split(" ")]
    return age <= TOLERANCE_SECONDS and any(matches)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 when an event is safe with us; whatever else we say, it is sent again."""

    def do_POST(self) -> None:
        """Take an event."""
        size = int(self.headers.get("Content-Length", "0"))
        # The bytes as they came: JSON that is read and written again is no longer what was signed.
        body = self.rfile.read(min(size, MAX_BYTES))
        event_id = self.headers.get("webhook-id", "")
        timestamp, signatures = (
            self.headers.get(f"webhook-{name}", "") for name in ("timestamp", "signature")
        )
        if not is_authentic(event_id, timestamp, signatures, body):
            self.answer(401)
            return
        take(json.loads(body))
        self.answer(204)

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.end_headers()


with ThreadingHTTPServer(("127.0.0.1", options.port), Receiver) as server:
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
