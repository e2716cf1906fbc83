"""Pictures at the desk: equal views are made once, a few at a time, and too many are asked to come again."""

import asyncio
import threading

import pytest

from worker.domain.moderation.picture import PictureState
from worker.errors import SourceMissingError
from worker.usecases.reviews.show_picture import PictureRequest, ShownPicture, Variant
from worker.web.desk.request.picture_queue import MOST_WAITING, PictureQueue
from worker.web.http.problems import ProblemError


class Maker:
    """Makes pictures when it is let, and counts."""

    def __init__(self):
        self.go_on, self.lock, self.four_at_once = threading.Event(), threading.Lock(), threading.Event()
        self.made, self.at_once, self.most = [], 0, 0

    def __call__(self, view):
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            if self.at_once == 4:
                self.four_at_once.set()
        self.go_on.wait(30)
        with self.lock:
            self.at_once -= 1
            self.made.append(view)
        return ShownPicture(view.submission_id.encode(), PictureState.SAME)


def view(n):
    return PictureRequest(f"upload-{n}", Variant.CLEAR)


def test_many_requests_for_one_view_are_one_piece_of_work():
    make = Maker()

    async def ask():
        queue = PictureQueue(make, 4)
        asked = [asyncio.create_task(queue.show(view(1))) for _ in range(48)]
        await asyncio.sleep(0)
        make.go_on.set()
        return {one.data for one in await asyncio.gather(*asked)}

    assert asyncio.run(ask()) == {b"upload-1"}
    assert make.made == [view(1)]


def test_a_few_are_made_at_once_and_too_many_come_again_later():
    make = Maker()

    async def ask():
        queue = PictureQueue(make, 4)
        asked = [asyncio.create_task(queue.show(view(n))) for n in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as error:
            await queue.show(view(MOST_WAITING))
        assert await asyncio.to_thread(make.four_at_once.wait, 30)
        make.go_on.set()
        await asyncio.gather(*asked)
        assert (await queue.show(view(MOST_WAITING))).data
        return error.value

    error = asyncio.run(ask())
    assert (error.status, error.headers) == (503, {"Retry-After": "2"})
    assert make.most == 4


def test_a_browser_that_leaves_takes_nothing_from_the_others():
    make = Maker()

    async def ask():
        queue = PictureQueue(make, 4)
        leaving, staying = (asyncio.create_task(queue.show(view(1))) for _ in "ab")
        await asyncio.sleep(0)
        leaving.cancel()
        make.go_on.set()
        return (await staying).data

    assert asyncio.run(ask()) == b"upload-1"


def test_what_prevents_a_picture_is_said_to_all_who_wait():
    def missing(_):
        raise SourceMissingError("there is no file")

    async def ask():
        queue = PictureQueue(missing, 4)
        return await asyncio.gather(*(queue.show(view(1)) for _ in range(3)), return_exceptions=True)

    assert [str(one) for one in asyncio.run(ask())] == ["there is no file"] * 3
