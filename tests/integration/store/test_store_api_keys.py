"""API keys are found by what may be shown of them; what must not be shown is not kept."""

from datetime import timedelta

from sqlalchemy import text

from worker.domain.accounts.api_key import Scope, new_api_key, split_token
from worker.store.accounts import api_keys
from worker.store.engine.clock import database_now
from worker.store.engine.column_types import utc_now

NEW = new_api_key("platform", [Scope.SUBMIT])


def test_a_key_is_kept_without_its_secret(database):
    key_id, secret = split_token(NEW.token)
    with database.transaction() as session:
        api_keys.add(session, NEW)
    with database.reading() as session:
        found = api_keys.find(session, key_id)
        kept = str(session.execute(text("SELECT * FROM api_keys")).all())
    assert found.key == NEW.key
    assert found.key.opens_with(secret)
    assert secret not in kept


def test_its_use_is_noted_once_a_minute(database):
    with database.transaction() as session:
        api_keys.add(session, NEW)
        now = database_now(session)
        assert api_keys.find(session, NEW.key.id).use_is_stale(now)
        api_keys.note_use(session, NEW.key.id)
        session.expire_all()
        first = api_keys.find(session, NEW.key.id)
        api_keys.note_use(session, NEW.key.id)
        session.expire_all()
        assert api_keys.find(session, NEW.key.id).last_used_at == first.last_used_at
        assert not first.use_is_stale(now)
        assert first.use_is_stale(now + timedelta(minutes=2))


def test_a_key_is_revoked_once(database):
    with database.transaction() as session:
        api_keys.add(session, NEW)
        assert api_keys.revoke(session, NEW.key.id)
        revoked_at = api_keys.find(session, NEW.key.id).revoked_at
        assert revoked_at <= utc_now()
        assert api_keys.revoke(session, NEW.key.id)
        assert api_keys.find(session, NEW.key.id).revoked_at == revoked_at
        assert not api_keys.revoke(session, "none")
        assert [found.key for found in api_keys.everyone(session)] == [NEW.key]
