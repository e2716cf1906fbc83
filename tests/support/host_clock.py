"""Simulates a wrong host clock, for all modules of the service but not for the database."""

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
    """Shift the host's time by `off` for every module of the service while the block runs."""
    # Only `now` is replaced: instances stay plain datetimes.
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
    """A datetime class whose `isinstance` accepts plain datetimes."""
