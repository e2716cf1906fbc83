"""The settings of the service, from environment variables; only the composition root reads them."""

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from worker.errors import SettingsError

log = logging.getLogger(__name__)

_PREFIX: Final = "MODERATION_"
_ALL_SETTINGS: Final = "moderate init FOLDER writes a file with all variables and their defaults"
#: Kubernetes sets these variables in every pod for each service; one may be called moderation-database.
_SERVICE_LINK: Final = re.compile(
    r"(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
#: The value of its variable NAME_PORT, whose name can be that of a setting.
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://\S+")
BUNDLED_MODEL: Final = "demo"
#: The bundled policies: for the bundled model, and a starting point for any other model.
_STICKERS: Final = "stickers"
_PHOTOGRAPHS: Final = "default"
#: Where container runtimes mount secrets: a file with a variable's name is read like the variable.
SECRETS: Final = Path("/run/secrets")


def _object(value: object) -> object:
    """Parse JSON text; return any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('not a JSON object, such as {"uploads": "s3://bucket/prefix"}') from None


def _is_service_link(name: str, value: str | None) -> bool:
    """Return whether Kubernetes set this variable for a service; `name` in upper case."""
    if name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value or ""):
        return True
    return _SERVICE_LINK.fullmatch(name.removeprefix(_PREFIX)) is not None


class _Environment(EnvSettingsSource):
    """The environment without the variables that Kubernetes adds."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = super()._load_env_vars()
        return {name: value for name, value in found.items() if not _is_service_link(name.upper(), value)}


def _shared(broker_url: str) -> str:
    if broker_url.strip().startswith("memory:"):
        raise ValueError("memory:// reaches no other process, name a Redis or a RabbitMQ")
    return broker_url


class Settings(BaseSettings):
    """How this process is configured; each field is the variable `MODERATION_` + its name."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    database_url: str = Field(
        "sqlite:///var/moderation.db",
        repr=False,
        description="Where decisions are kept: SQLite, or `postgresql://user:password@host/name`.",
    )
    database_password: str = Field(
        "",
        repr=False,
        description="Password of the user in `MODERATION_DATABASE_URL`, if the URL has none.",
    )
    broker_url: Annotated[str, AfterValidator(_shared)] = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="Broker of the jobs, for producers and workers alike: `redis://`, `rediss://` (TLS), "
        "`sentinel://`, `redis+socket://`, or RabbitMQ's `amqp://` and `amqps://`.",
    )
    queue: str = Field(
        "moderation", min_length=1, description="Queue of the jobs, the same for producers and workers."
    )
    model: str = Field(
        BUNDLED_MODEL,
        description="`demo` (the bundled sticker model), a preset of `moderate model list`, a folder, or a "
        "hub id with `@revision`.",
    )
    policies: Path = Field(Path("policies"), description="Folder of the policy files.")
    policy: str = Field(
        _STICKERS,
        description="Policy of a submission that names none; with another model than `demo` it is `default` "
        "unless you set it.",
    )
    policy_reload_seconds: float = Field(
        1.0, gt=0, le=60, description="How often the policy folder is checked for saved files."
    )
    media_root: Path = Field(
        Path("var/media"), description="Folder that submitted paths are relative to and cannot leave."
    )
    url_hosts: str = Field(
        "none",
        description="Hosts that pictures are fetched from, with commas between: names and `*.names` at "
        "public addresses, `any-public` for all of those, `host:port` for one that may be internal; or "
        "`none`.",
    )
    download_seconds: float = Field(
        15.0, gt=0, le=45, description="Time limit for one picture from a URL or an object store."
    )
    missing_source_seconds: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="How long a missing picture is tried again, from when its submission was first known, "
        "before the policy's `on_error` decides; 0 decides at once.",
    )
    object_stores: Annotated[dict[str, str], NoDecode, BeforeValidator(_object)] = Field(
        {},
        description='Object stores by name, as JSON: `{"uploads": "s3://bucket/prefix"}`; '
        "a root can be `file://` too.",
    )
    max_picture_bytes: int = Field(20 * 1024 * 1024, gt=0, description="Larger files are refused unread.")
    max_picture_pixels: int = Field(
        50_000_000,
        gt=0,
        description="Pictures with more pixels are refused undecoded. Telephones with 200 megapixels need "
        "200000000.",
    )
    max_picture_side: int = Field(
        16_384, gt=0, description="Pictures wider or higher than this are refused undecoded."
    )
    max_frames: int = Field(
        8, gt=0, le=64, description="Maximum number of frames of an animated picture that are judged."
    )
    decoder_processes: int = Field(
        0, ge=0, le=64, description="Processes that decode pictures; 0 means one a processor, at most four."
    )
    decode_seconds: float = Field(
        10.0, gt=0, le=600, description="A picture that takes longer to decode is refused."
    )
    decoder_memory_bytes: int = Field(
        2 * 1024 * 1024 * 1024,
        ge=512 * 1024 * 1024,
        description="A picture whose decoding process would need more address space is refused.",
    )
    batch_size: int = Field(16, gt=0, le=1024, description="Pictures in one pass through the model, at most.")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto",
        description="Precision of the picture tower. `auto` takes `bfloat16`, which is twice as fast and "
        "changes scores slightly, if the processor supports it and the model's vectors hardly change; "
        "otherwise `float32`. The log says which, and why.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto",
        description="Device of the picture tower; `auto` takes an accelerator if there is one.",
    )
    passes: int = Field(
        0,
        ge=0,
        le=64,
        description="Concurrent passes through the model; 0 means one a processor, at most four.",
    )
    torch_threads: int = Field(
        0, ge=0, le=1024, description="Threads of one pass; 0 divides the processors among the passes."
    )
    concurrency: int = Field(
        0,
        ge=0,
        le=1024,
        description="Worker threads of a process; 0 means batch size x (passes + 1).",
    )
    schedule_in_workers: bool = Field(
        True,
        description="Whether workers also republish submissions when due and notify the platform of "
        "decisions; if not, run `moderate schedule`.",
    )
    webhook_hosts: str = Field(
        "none",
        description="Hosts that webhooks are sent to, written as in `MODERATION_URL_HOSTS`: "
        "`hooks.example.com, platform.internal:8080`.",
    )
    webhook_secrets: str = Field(
        "none",
        repr=False,
        description="Secret that signs webhooks, from `moderate outbox new-secret`; during a rotation, the "
        "new and the old one with a comma between.",
    )
    webhook_url: str = Field(
        "none",
        repr=False,
        description="Default webhook, for submissions without a callback; `none` sends nothing.",
    )
    outbox_keep_days: int = Field(
        30, gt=0, le=3650, description="Days after which delivered events are deleted."
    )
    webhook_seconds: float = Field(
        10.0, gt=0, le=30, description="Time limit for one webhook; then it is tried again."
    )
    callback_tasks: str = Field(
        "none",
        description="Tasks of the platform's own Celery that may be called with decisions: names and "
        "`names.*` with commas between, or `none`.",
    )
    callback_queues: str = Field(
        "",
        description="Queues of the platform's own Celery that callbacks may name: names and `names.*` with "
        "commas between; empty allows `celery`, and `posts` for a task `posts.moderated`.",
    )
    callback_broker_url: Annotated[str, AfterValidator(_shared)] = Field(
        "none",
        repr=False,
        description="Broker of the platform's own Celery; `none` means the broker of the jobs.",
    )
    callback_hours: float = Field(
        24.0, gt=0, le=720, description="How long the delivery of an event is retried before it is given up."
    )
    policy_wait_seconds: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="How long a message waits for a policy that is not in force yet before it is refused; "
        "a submission that HTTP accepted waits without limit.",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address at which a worker serves `/metrics`, `/healthz` and `/readyz`.",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port for these, different for each worker process; 0 serves none."
    )
    stuck_seconds: float = Field(
        180.0,
        gt=0,
        description="A worker that processes a job for longer reports at `/healthz` that it is stuck.",
    )
    exit_when_stuck: bool = Field(
        True,
        description="Whether a worker that stays stuck for the same time again exits, so that its supervisor "
        "restarts it; its claimed submissions are judged again.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Log format of every process: lines for people, or a JSON object a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Log level of every process; `info` has one line for each decided picture.",
    )
    web_requests_per_minute: int = Field(
        600,
        gt=0,
        description="Maximum requests a minute of one API key; a batch counts its submissions. On Redis all "
        "web processes share the limit; on RabbitMQ each process counts for itself.",
    )
    web_wait_seconds: float = Field(
        30.0,
        ge=0,
        le=120,
        description="Maximum wait of a request with `Prefer: wait`; 0 never waits.",
    )
    web_waiters: int = Field(
        64, ge=0, description="Requests of one web process that may wait at once; others are answered 202."
    )
    web_root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path prefix under which a proxy serves `moderate web`, such as `/moderation`, whether "
        "or not the proxy strips it; empty for none.",
    )
    web_keepalive_seconds: int = Field(
        75,
        ge=1,
        le=3600,
        description="How long `moderate web` keeps an idle connection: longer than the proxy in front of it, "
        "which might otherwise send a request on a closing connection.",
    )
    review_lease_seconds: float = Field(
        300.0,
        ge=10,
        le=86_400,
        description="How long a claim on a review lasts, unless the reviewer renews it.",
    )
    review_group_cosine: float = Field(
        0.98,
        gt=0,
        le=1,
        description="Group open reviews whose embeddings have at least this cosine similarity.",
    )
    review_golden_share: float = Field(
        0.02, ge=0, le=1, description="Share of claimed reviews that are golden items, if there are any."
    )
    review_inherit: bool = Field(
        True,
        description="Whether the same bytes inherit a person's verdict, within one policy version.",
    )
    review_desk: bool = Field(
        True, description="Whether `moderate web` serves the review desk too, at `/review`."
    )
    review_heat_map_memory_bytes: int = Field(
        1_610_612_736,
        ge=0,
        description="Memory of the process that holds the model while people ask for heat maps at the desk, "
        "at most; it takes about 400 MiB and the model's weights in float32. 0 turns heat maps at the desk "
        "off.",
    )
    reviewer_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a single sign-on proxy names the reviewer, such as "
        "`X-Forwarded-User`; empty: people sign in with passwords.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses and networks of trusted proxies, with commas between; `X-Forwarded-For`, "
        "`X-Forwarded-Proto` and the reviewer's header are ignored from any other address.",
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_policy(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Default to the policy for photographs unless the model is the bundled one."""
        is_bundled = given.get("model", BUNDLED_MODEL) == BUNDLED_MODEL
        return given if is_bundled else {"policy": _PHOTOGRAPHS, **given}

    @property
    def fits_its_model(self) -> bool:
        """Whether the default policy suits the model: the stickers policy suits only the bundled one."""
        return self.policy != _STICKERS or self.model == BUNDLED_MODEL

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - ours takes its place
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no such file is read
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of settings, highest precedence first."""
        return init_settings, _Environment(settings_cls), file_secret_settings

    @classmethod
    def read(cls, **overrides: Any) -> Self:
        """Read environment and secrets; SettingsError names every variable that is invalid or misspelt."""
        secrets = SECRETS if SECRETS.is_dir() else None
        files = [file.name for file in secrets.iterdir()] if secrets else []
        _report_service_links(cls.model_fields)
        ours = [name for name, value in os.environ.items() if not _is_service_link(name.upper(), value)]
        _refuse_misspelt([*ours, *files], cls.model_fields)
        try:
            return cls(_secrets_dir=secrets, **overrides)
        except SourceError as error:
            raise SettingsError(
                f"a secret cannot be read: {error.__cause__}",
                hint=f"make the file readable for the user with the number {os.geteuid()}",
            ) from None
        except ValidationError as error:
            lines = [
                f"MODERATION_{str(e['loc'][0]).upper()}: {e['msg']}{_got(e, cls.model_fields)}"
                for e in error.errors()
            ]
            raise SettingsError(
                "\n".join(lines),
                hint=_ALL_SETTINGS,
            ) from None


def _report_service_links(known: Iterable[str]) -> None:
    """Log which settings keep their defaults because Kubernetes uses their names for a service."""
    for name in known:
        variable = _PREFIX + name.upper()
        if _is_service_link(variable, value := os.environ.get(variable)):
            log.warning("%s=%s is ignored: Kubernetes set it for a service of that name", variable, value)


def _got(problem: Any, fields: Mapping[str, FieldInfo]) -> str:
    """Quote the invalid value; empty if it may be a secret."""
    field = fields.get(str(problem["loc"][0]))
    return f" (got {problem['input']!r})" if field is None or field.repr else ""


def _refuse_misspelt(found: Iterable[str], known: Iterable[str]) -> None:
    """Refuse variables whose names resemble a setting; others with the prefix belong to other programs."""
    ours = [name.upper().removeprefix(_PREFIX).lower() for name in found if name.upper().startswith(_PREFIX)]
    near = {name: get_close_matches(name, known, 1, cutoff=0.75) for name in ours if name not in known}
    lines = [
        f"{_PREFIX}{name.upper()}: did you mean {_PREFIX}{m[0].upper()}?" for name, m in near.items() if m
    ]
    if lines:
        raise SettingsError("\n".join(lines), hint=_ALL_SETTINGS)
