"""Receive decisions by webhook: verify signatures and drop duplicates, with the standard library alone.

MODERATION_WEBHOOK_SECRET=whsec_... python examples/receive_webhook.py --port 8080

Signatures follow https://www.standardwebhooks.com, with libraries for most languages. Every type of event has
the same top level: `submission`, `action` (what is in force now), `decided_by` and `sequence`.
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

# In production: a table with a unique column, and a column beside your upload, read and written in the
# transaction that handles the event.
seen: set[str] = set()
sequences: dict[str, int] = {}
lock = threading.Lock()


def handle(event: dict[str, Any]) -> None:
    """Act on the decision in force, unless a newer event was handled already."""
    with lock:
        # Events are redelivered if our answer was lost, and can arrive out of order.
        if event["id"] in seen or event["sequence"] < sequences.get(event["submission"], 0):
            return
        seen.add(event["id"])
        sequences[event["submission"]] = event["sequence"]
        # `action` is None if the submission was refused: there is no decision.
        print(event["submission"], event["action"], event["decided_by"], event["type"], flush=True)


def is_authentic(event_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """Whether the body was signed with our secret, within the last TOLERANCE_SECONDS."""
    try:
        age = abs(time.time() - int(timestamp))
    except ValueError:
        return False
    signed = f"{event_id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    # More than one while the secret is rotated; compared in constant time.
    matches = [hmac.compare_digest(expected, one.encode()) for one in signatures.split(" ")]
    return age <= TOLERANCE_SECONDS and any(matches)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 once an event is stored; with any other status it is sent again."""

    def do_POST(self) -> None:
        """Receive an event."""
        size = int(self.headers.get("Content-Length", "0"))
        # The raw bytes: JSON that is parsed and serialised again no longer matches the signature.
        body = self.rfile.read(min(size, MAX_BYTES))
        event_id = self.headers.get("webhook-id", "")
        timestamp, signatures = (
            self.headers.get(f"webhook-{name}", "") for name in ("timestamp", "signature")
        )
        if not is_authentic(event_id, timestamp, signatures, body):
            self.answer(401)
            return
        handle(json.loads(body))
        self.answer(204)

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.end_headers()


with ThreadingHTTPServer(("127.0.0.1", options.port), Receiver) as server:
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
