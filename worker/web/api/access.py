"""Authentication by API key: scopes and rate limit."""

import math
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from worker.domain.accounts.api_key import ApiKey, Scope
from worker.web.api.service import WebService
from worker.web.http.problems import ProblemError

_BEARER = HTTPBearer(auto_error=False, description="An API key; `moderate api-key create` makes one.")


def _service(request: Request) -> WebService:
    return cast("WebService", request.app.state.service)


Service = Annotated[WebService, Depends(_service)]


def _key(
    request: Request,
    service: Service,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> ApiKey:
    key = service.intake.authenticate(credentials.credentials) if credentials else None
    if key is None:
        raise ProblemError(
            401,
            "this API key is unknown or revoked" if credentials else "there is no API key",
            hint="send `Authorization: Bearer` and a key that `moderate api-key create` made",
            WWW_Authenticate="Bearer",
        )
    request.state.key_id = key.id
    take_tokens(service, key, 1)
    return key


def needs(scope: Scope) -> Any:
    """Return a dependency that requires an API key with this scope; its value is the key."""

    def check(key: Annotated[ApiKey, Depends(_key)]) -> ApiKey:
        if scope not in key.scopes:
            raise ProblemError(403, f"this API key does not have the scope {scope.value!r}")
        return key

    return Depends(check)


def take_tokens(service: WebService, key: ApiKey, cost: int) -> None:
    """Count a request against the key's rate limit; ProblemError if it is exceeded."""
    missing = service.rate_limit.take(key.id, cost)
    if missing > 0:
        raise ProblemError(
            429,
            f"this API key may send {service.settings.web_requests_per_minute} requests a minute",
            hint="a batch counts as many requests as it has submissions",
            Retry_After=str(math.ceil(missing)),
        )
