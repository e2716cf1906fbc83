"""Database URLs as people write them: a raw password means what it says, and is never repeated."""

import pytest

from worker.errors import SettingsError
from worker.store.engine.address import Address


@pytest.mark.parametrize("password", ["p@ss", "@", "p@s@s", "p#a/b:c?d%e", "@/", "#@", "/@"])
@pytest.mark.parametrize("query", ["", "?application_name=a@b", "?options=-c%20x=1"])
def test_a_password_may_hold_raw_special_characters(password, query):
    address = Address.parse(f"postgresql://moderator:{password}@db.internal:5432/uploads{query}")
    assert (address.url.username, address.url.password) == ("moderator", password)
    assert (address.url.host, address.url.port, address.url.database) == ("db.internal", 5432, "uploads")
    assert str(address) == "PostgreSQL db.internal:5432/uploads"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://moderator:p%40ss@h/db", "PostgreSQL h/db"),
        ("postgresql://h/db?application_name=a@b", "PostgreSQL h/db"),
        ("postgresql:///db?host=/run/a@b", "PostgreSQL /run/a@b/db"),
        ("sqlite:////srv/a@b@c.db", "SQLite /srv/a@b@c.db"),
    ],
)
def test_an_at_elsewhere_stays_where_it_is(url, shown):
    assert str(Address.parse(url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2",
        "postgresql://u:hunter2@h:x/d",
        "mysql://u:hunter2@h/d",
        "postgresql://u:a?b=hunter2@hunter2@h/d",
    ],
)
def test_what_cannot_be_read_is_refused_without_the_password(url):
    with pytest.raises(SettingsError) as refused:
        Address.parse(url)
    assert "hunter2" not in refused.value.message + refused.value.hint
    assert "%40" in refused.value.hint
