"""Lets the clock of this host go wrong: for all of our code, not for the database."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest


@contextmanager
def host_clock_off_by(off: timedelta) -> Iterator[None]:
    """Let every module of ours see this host's time wrong by `off` while the block runs."""
    # Instances stay plain times: only what asks for the present is replaced.
    wrong_datetime = type(
        "datetime",
        (_Datetime,),
        {"now": classmethod(lambda _cls, zone=None: datetime.now(zone) + off)},
    )
    wrong_time = ModuleType("time")
    wrong_time.__dict__.update(vars(time), time=lambda: time.time() + off.total_seconds())
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("worker.") and module is not None:
                if vars(module).get("datetime") is datetime:
                    patch.setattr(module, "datetime", wrong_datetime)
                if vars(module).get("time") is time:
                    patch.setattr(module, "time", wrong_time)
        yield


class _IsDatetime(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, datetime)


class _Datetime(datetime, metaclass=_IsDatetime):
    """The class as our modules use it."""
