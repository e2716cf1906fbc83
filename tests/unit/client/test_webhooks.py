"""What is signed is what the standard says, by its own example, and whatever is changed shows."""

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moderation_client.webhooks import headers, new_secret, read_secrets, verify
from standardwebhooks import Webhook, WebhookVerificationError

from worker.errors import SettingsError

#: The example of the standard's own libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def signed(*secrets, body=BODY, at=AT):
    return headers(read_secrets(",".join(secrets)), ID, at, body)


def test_the_standards_own_example():
    assert signed(SECRET) == {
        "webhook-id": ID,
        "webhook-timestamp": str(AT),
        "webhook-signature": SIGNATURE,
    }
    assert verify(SECRET, signed(SECRET), BODY, now=AT)


def test_the_standards_own_library_agrees():
    at = int(time.time())
    Webhook(SECRET).verify(BODY, signed(SECRET, at=at))
    theirs = Webhook(SECRET).sign(ID, datetime.fromtimestamp(at, UTC), BODY.decode())
    received = {"Webhook-Id": ID, "Webhook-Timestamp": str(at), "Webhook-Signature": theirs}
    assert verify(SECRET, received, BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b"{}", signed(SECRET, at=at))


def test_while_a_secret_is_changed_receivers_may_know_either():
    old, new = SECRET, new_secret()
    both = signed(new, old)
    assert both["webhook-signature"].split(" ")[1] == SIGNATURE
    assert verify(old, both, BODY, now=AT)
    assert verify(new, both, BODY, now=AT)
    assert not verify(new_secret(), both, BODY, now=AT)
    assert not verify(new, signed(old), BODY, now=AT)


@pytest.mark.parametrize("now", [AT - 301, AT + 301])
def test_what_is_old_or_from_the_future_is_not_believed(now):
    assert not verify(SECRET, signed(SECRET), BODY, now=now)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": str(AT + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": SIGNATURE.replace("v1", "v2")},
        {"webhook-signature": ""},
        {"webhook-signature": "ä"},
    ],
)
def test_whatever_is_changed_shows(changed):
    assert not verify(SECRET, signed(SECRET) | changed, BODY, now=AT)
    assert not verify(SECRET, {}, BODY, now=AT)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_another_body_has_another_signature(one, other):
    assert verify(SECRET, signed(SECRET, body=one), other, now=AT) == (one == other)


@pytest.mark.parametrize(
    "text",
    [
        "5ec7e7",
        "whsec_",
        "whsec_5ec7e7",
        "whsec_" + base64.b64encode(b"5ec7e7" * 3).decode(),
        "whsec_" + base64.b64encode(b"5ec7e7" * 11).decode(),
        SECRET[6:] + "5ec7e7",
        f"whsec_{SECRET[6:-1]}!5ec7e7",
        "whsec_ä5ec7e7",
    ],
)
def test_what_is_no_secret_is_refused_unshown(text):
    with pytest.raises(SettingsError) as error:
        read_secrets(f"{SECRET},{text}")
    assert "MODERATION_WEBHOOK_SECRETS: secret 2 of 2 is not whsec_" in error.value.message
    assert "moderate outbox new-secret" in error.value.hint
    assert "5ec7e7" not in error.value.message + error.value.hint


def test_a_new_secret_is_one():
    assert len({key for _ in range(9) for key in read_secrets(new_secret())}) == 9
