"""Shows pictures in Chromium, and returns the pixels on the screen."""

import base64
from collections.abc import Sequence
from io import BytesIO

from PIL import Image
from playwright.sync_api import Browser, Page

#: Viewport whose screenshot is not scaled.
_WIDTH, _HEIGHT = 640, 5000
_SHOW = """async (urls) => {
    document.body.style.margin = 0;
    const show = (url) => new Promise((done) => {
        const picture = new Image();
        picture.style.display = "block";
        picture.onload = () => done(picture);
        picture.onerror = () => done(null);
        document.body.append(picture);
        picture.src = url;
    });
    const pictures = await Promise.all(urls.map(show));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return pictures.map((picture) => picture && [
        picture.offsetLeft, picture.offsetTop, picture.naturalWidth, picture.naturalHeight,
    ]);
}"""
#: How many pictures fit below each other.
_PICTURES = 40


def as_shown(browser: Browser, pictures: Sequence[bytes]) -> list[Image.Image | None]:
    """Return each picture as shown on a white page; None if Chromium cannot show it."""
    found: list[Image.Image | None] = []
    for start in range(0, len(pictures), _PICTURES):
        with browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}) as page:
            found += _on_one_page(page, pictures[start : start + _PICTURES])
    return found


def _on_one_page(page: Page, pictures: Sequence[bytes]) -> list[Image.Image | None]:
    places = page.evaluate(
        _SHOW, [f"data:image/x;base64,{base64.b64encode(data).decode()}" for data in pictures]
    )
    with Image.open(BytesIO(page.screenshot())) as screen:
        seen = screen.convert("RGB")
    return [
        place and seen.crop((place[0], place[1], place[0] + place[2], place[1] + place[3]))
        for place in places
    ]
