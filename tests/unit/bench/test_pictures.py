"""Pictures are told apart by their bytes alone: each is another one to the service, and decodes as before."""

from io import BytesIO

from PIL import Image

from worker.bench.pictures import SIZE, Original, Pictures, draw


def test_no_two_files_have_the_same_bytes_and_all_are_pictures():
    pictures = Pictures("", [Original(draw(0), ".jpg"), Original(draw(1), ".jpg")])
    files = [pictures.next() for _ in range(5)]
    assert len({one.data for one in files}) == 5
    assert files[0].data[:1000] == files[2].data[:1000] != files[1].data[:1000]
    for one in files:
        with Image.open(BytesIO(one.data)) as image:
            image.load()
            assert image.size == SIZE


def test_two_runs_share_no_bytes():
    original = [Original(b"the same", ".jpg")]
    assert Pictures("", original).next() != Pictures("", original).next()
