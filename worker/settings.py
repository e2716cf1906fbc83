"""Every environment variable of the service, once, read by nobody but the composition root."""

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
#: Kubernetes gives every pod these variables for each service, which may be called moderation-database.
_SERVICE_LINK: Final = re.compile(
    r"(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
#: The value of its variable NAME_PORT, which can have the name of one of our settings.
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://\S+")
BUNDLED_MODEL: Final = "demo"
#: The policies that are shipped: for the bundled model, and to start from with any other.
_STICKERS: Final = "stickers"
_PHOTOGRAPHS: Final = "default"
#: Where Docker and its like mount secrets: a file with a variable's name is read like the variable.
SECRETS: Final = Path("/run/secrets")


def _object(value: object) -> object:
    """Return what JSON text means; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('not a JSON object, such as {"uploads": "s3://bucket/prefix"}') from None


def _is_service_link(name: str, value: str | None) -> bool:
    """Whether a variable is one that Kubernetes sets for a service; `name` in upper case."""
    if name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value or ""):
        return True
    return _SERVICE_LINK.fullmatch(name.removeprefix(_PREFIX)) is not None


class _Environment(EnvSettingsSource):
    """The environment without what Kubernetes adds to it."""

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
        description="Password of the user in `MODERATION_DATABASE_URL`, where the URL has none.",
    )
    broker_url: Annotated[str, AfterValidator(_shared)] = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="Where jobs wait, for producers and workers alike: `redis://`, `rediss://` (TLS), "
        "`sentinel://`, `redis+socket://`, or RabbitMQ's `amqp://` and `amqps://`.",
    )
    queue: str = Field(
        "moderation", min_length=1, description="Queue of the jobs; producers and workers agree on it."
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
        1.0, gt=0, le=60, description="How often the policy folder is looked at for saved files."
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
        15.0, gt=0, le=45, description="Time for one picture from a URL or an object store, all in all."
    )
    missing_source_seconds: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="How long a picture that is missing is looked for again, from when its submission was "
        "first known, before the policy's `on_error` decides; 0 decides at once.",
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
    max_frames: int = Field(8, gt=0, le=64, description="Frames of an animated picture that are looked at.")
    decoder_processes: int = Field(
        0, ge=0, le=64, description="Processes that decode pictures; 0 means one a processor, four at most."
    )
    decode_seconds: float = Field(
        10.0, gt=0, le=600, description="A picture that takes longer to decode is refused."
    )
    decoder_memory_bytes: int = Field(
        2 * 1024 * 1024 * 1024,
        ge=512 * 1024 * 1024,
        description="A picture whose decoding process would need more address space is refused.",
    )
    batch_size: int = Field(
        16, gt=0, le=1024, description="Pictures that share one pass through the model, at most."
    )
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto",
        description="Numbers in which the picture tower computes; `auto` takes `bfloat16`, which is twice as "
        "fast and moves scores a little, if the processor has it and the model's vectors stay nearly the "
        "same, and else `float32`. The log says which, and why.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto",
        description="Where the picture tower computes; `auto` takes an accelerator where there is one.",
    )
    passes: int = Field(
        0,
        ge=0,
        le=64,
        description="Passes through the model at once; 0 means one a processor, four at most.",
    )
    torch_threads: int = Field(
        0, ge=0, le=1024, description="Threads of one pass; 0 shares the processors among the passes."
    )
    concurrency: int = Field(
        0,
        ge=0,
        le=1024,
        description="Jobs that one worker process holds in hand at once; 0 means a batch for each pass, and "
        "one more.",
    )
    schedule_in_workers: bool = Field(
        True,
        description="Whether workers also publish again what is due and tell the platform of decisions; "
        "if not, run `moderate schedule`.",
    )
    webhook_hosts: str = Field(
        "none",
        description="Hosts that webhooks are sent to, written as in `MODERATION_URL_HOSTS`: "
        "`hooks.example.com, platform.internal:8080`.",
    )
    webhook_secrets: str = Field(
        "none",
        repr=False,
        description="What webhooks are signed with, as `moderate outbox new-secret` makes it; while it is "
        "changed, the new one and the old one with a comma between.",
    )
    webhook_url: str = Field(
        "none", repr=False, description="Webhook for submissions that bring no callback; `none` tells nobody."
    )
    outbox_keep_days: int = Field(
        30, gt=0, le=3650, description="Days after which what the platform has been told is forgotten."
    )
    webhook_seconds: float = Field(
        10.0, gt=0, le=30, description="Time for one webhook, all in all; then it is tried again."
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
        "none", repr=False, description="Broker of the platform's own Celery; `none` is the one of the jobs."
    )
    callback_hours: float = Field(
        24.0, gt=0, le=720, description="How long telling the platform is tried before it is given up."
    )
    policy_wait_seconds: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="How long a message waits for a policy that is not in force yet before it is refused; "
        "what HTTP accepted waits as long as it takes.",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address at which a worker serves `/metrics`, `/healthz` and `/readyz`.",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Their port, one for each worker process; 0 serves none."
    )
    stuck_seconds: float = Field(
        180.0, gt=0, description="A worker with a job in hand for longer says at `/healthz` that it is stuck."
    )
    exit_when_stuck: bool = Field(
        True,
        description="Whether a worker that stays stuck for as long again leaves, so that its supervisor "
        "starts another one; what it had claimed is judged again.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How every process logs: lines for people, or a JSON object a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="How much every process logs; `info` has one line for each picture that is decided.",
    )
    web_requests_per_minute: int = Field(
        600,
        gt=0,
        description="What one API key may ask of `moderate web`; a batch counts its submissions. All web "
        "processes count together on Redis; on RabbitMQ each counts for itself.",
    )
    web_wait_seconds: float = Field(
        30.0, ge=0, le=120, description="How long `Prefer: wait` is honoured at most; 0 lets nobody wait."
    )
    web_waiters: int = Field(
        64, ge=0, description="Requests of one web process that wait at once; others are answered 202."
    )
    web_root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path that a proxy serves `moderate web` under, such as `/moderation`, whether or not it "
        "cuts it off; empty for none.",
    )
    web_keepalive_seconds: int = Field(
        75,
        ge=1,
        le=3600,
        description="How long `moderate web` keeps an idle connection: longer than the proxy before it, "
        "which else sends a request down one that is being closed.",
    )
    review_lease_seconds: float = Field(
        300.0,
        ge=10,
        le=86_400,
        description="How long a claimed review stays in one person's hands, unless they renew it.",
    )
    review_group_cosine: float = Field(
        0.98,
        gt=0,
        le=1,
        description="From this likeness of their embeddings on, open reviews are shown as one group.",
    )
    review_golden_share: float = Field(
        0.02, ge=0, le=1, description="Share of claimed reviews that are golden items, where there are some."
    )
    review_inherit: bool = Field(
        True,
        description="Whether the same bytes inherit what a person said of them, under one policy version.",
    )
    review_desk: bool = Field(
        True, description="Whether `moderate web` serves the review desk too, at `/review`."
    )
    reviewer_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a single sign-on proxy names the reviewer, such as "
        "`X-Forwarded-User`; empty: people sign in with passwords.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses and networks of our own proxies, with commas between: of nobody else are "
        "`X-Forwarded-For`, `X-Forwarded-Proto` and the reviewer's header believed.",
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_policy(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Put the policy of stickers before no model that sees photographs."""
        fits = given.get("model", BUNDLED_MODEL) == BUNDLED_MODEL
        return given if fits else {"policy": _PHOTOGRAPHS, **given}

    @property
    def fits_its_model(self) -> bool:
        """Whether the default policy is not the one of the bundled model's stickers before another model."""
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
        """Return where settings come from, the strongest first."""
        return init_settings, _Environment(settings_cls), file_secret_settings

    @classmethod
    def read(cls, **overrides: Any) -> Self:
        """Read environment and secrets; SettingsError names every variable that is wrong or misspelt."""
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
                hint=f"let the file be readable for the user with the number {os.geteuid()}",
            ) from None
        except ValidationError as error:
            lines = [
                f"MODERATION_{str(e['loc'][0]).upper()}: {e['msg']}{_got(e, cls.model_fields)}"
                for e in error.errors()
            ]
            raise SettingsError(
                "\n".join(lines), hint="the variables and their defaults are in README.md"
            ) from None


def _report_service_links(known: Iterable[str]) -> None:
    """Log which settings keep their defaults because Kubernetes uses their names for a service."""
    for name in known:
        variable = _PREFIX + name.upper()
        if _is_service_link(variable, value := os.environ.get(variable)):
            log.warning("%s=%s is ignored: Kubernetes set it for a service of that name", variable, value)


def _got(problem: Any, fields: Mapping[str, FieldInfo]) -> str:
    """Return the value that does not fit, in words; nothing if it may be a secret."""
    field = fields.get(str(problem["loc"][0]))
    return f" (got {problem['input']!r})" if field is None or field.repr else ""


def _refuse_misspelt(found: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a variable that nearly has a setting's name; others with our prefix belong to other programs."""
    ours = [name.upper().removeprefix(_PREFIX).lower() for name in found if name.upper().startswith(_PREFIX)]
    near = {name: get_close_matches(name, known, 1, cutoff=0.75) for name in ours if name not in known}
    lines = [
        f"{_PREFIX}{name.upper()}: did you mean {_PREFIX}{m[0].upper()}?" for name, m in near.items() if m
    ]
    if lines:
        raise SettingsError("\n".join(lines), hint="the variables and their defaults are in README.md")
