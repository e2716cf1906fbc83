"""A key opens with its secret and nothing else, and shows it nowhere."""

import pytest

from worker.domain.accounts.api_key import Scope, new_api_key, split_token
from worker.errors import UsageError


def test_a_token_holds_the_id_and_the_secret():
    new = new_api_key("platform", [Scope.READ])
    key_id, secret = split_token(new.token)
    assert key_id == new.key.id
    assert new.key.opens_with(secret)
    assert not new.key.opens_with(secret[:-1])
    assert not new.key.opens_with("")


def test_neither_secret_nor_digest_is_shown():
    new = new_api_key("platform", [Scope.READ])
    _, secret = split_token(new.token)
    assert secret not in repr(new)
    assert new.key.secret_sha256 not in repr(new)


@pytest.mark.parametrize("token", ["", "mod_", "mod_0123456789_short", "Bearer x", "mod_ä_" + "a" * 43])
def test_what_is_no_key_is_none(token):
    assert split_token(token) is None


@pytest.mark.parametrize(("name", "scopes"), [("", [Scope.READ]), ("a\nb", [Scope.READ]), ("a", [])])
def test_a_key_needs_a_name_and_a_scope(name, scopes):
    with pytest.raises(UsageError):
        new_api_key(name, scopes)
