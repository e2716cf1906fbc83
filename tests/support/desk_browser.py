"""An in-process client of the review desk that keeps cookies and fills forms like a browser."""

import re

from starlette.testclient import TestClient
from support.desk import PASSWORD

HTML = {"Accept": "text/html"}


class Browser:
    """A client that keeps cookies and finds the tokens of forms like a browser."""

    def __init__(self, app, base="http://127.0.0.1", address="127.0.0.1"):
        self.client = TestClient(app, base_url=base, client=(address, 50000), follow_redirects=False)

    def get(self, path, **options):
        options["headers"] = HTML | options.pop("headers", {})
        return self.client.get(path, **options)

    def post(self, path, data=None, **options):
        options["headers"] = HTML | options.pop("headers", {})
        return self.client.post(path, data=data or {"nothing": ""}, **options)

    def login(self, name, password=PASSWORD, **options):
        token = form_token(self.get("/review/login", **options))
        return self.post(
            "/review/login", {"form_token": token, "name": name, "password": password}, **options
        )

    def send(self, path, data=None, **options):
        """Send a form with the token of this session."""
        return self.post(path, {"form_token": form_token(self.get("/review/")), **(data or {})}, **options)

    def take(self):
        """Claim the next item; return its number and its page."""
        where = self.send("/review/next").headers["Location"]
        return int(re.search(r"/items/(\d+)", where)[1]), self.get(where)


def form_token(answer):
    return re.search(r'name="form_token" value="(\w+)"', answer.text)[1]


def held_token(page):
    return re.search(r'name="token" value="(\d+\.\d+)"', page.text)[1]


def picture_address(page, way="clear"):
    return re.search(rf"data-{way}='\[*\"([^\"]+)", page.text)[1].replace("\\u0026", "&")
