"""What a file is comes from the decoding child to the decision: its action by kind, and its reason."""

import pytest
from support.decoders import open_pool
from support.pictures import drawing, encoded

from worker.domain.moderation.decision import decide_undecodable
from worker.errors import UndecodablePictureError
from worker.images.preprocessing import Preprocessing
from worker.policy_files.parser import parse_policy

POLICY = parse_policy(
    """
name: kinds
background: [a person]
labels:
  weapons: {prompts: [a handgun]}
on_undecodable: {default: review, svg: block, pdf: allow}
""",
    "kinds.yaml",
)
SQUARE = Preprocessing(3, width=32, height=32)


@pytest.fixture(scope="module")
def pool():
    with open_pool(processes=1) as opened:
        yield opened


@pytest.mark.parametrize(
    ("data", "action", "reason"),
    [
        (b"%PDF-1.7 of four pages", "allow", "not judged, it is a PDF; JPEG, PNG, "),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "block", "not judged, it is an SVG drawing; JPEG, "),
        (
            encoded(drawing(), "JPEG")[:1500],
            "review",
            "not judged, the picture is cut off: its end is missing",
        ),
        (b"", "review", "not judged, the picture is empty: 0 bytes"),
    ],
)
def test_a_file_is_decided_by_its_kind(pool, data, action, reason):
    with pytest.raises(UndecodablePictureError) as refused:
        pool.decode(data, SQUARE)

    decision = decide_undecodable(POLICY, refused.value)

    assert decision.action == action
    assert decision.reason.startswith(reason)
