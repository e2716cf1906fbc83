"""Good policies become the policies their authors meant, and any text at all is either one or a clear refusal."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from worker.domain.policies.policy import DEFAULT_TEMPLATES, Action, Captions, Label, Policy, PolicyTest
from worker.errors import InvalidPolicyError, UndecodableKind
from worker.policy_files.parser import MAX_FILE_BYTES, parse_policy, read_policy
from worker.policy_files.rules.schema import (
    MAX_LABELS,
    MAX_PHRASES,
    AuditEntry,
    ExpectationEntry,
    LabelEntry,
    LimitsEntry,
    PolicyEntry,
    PolicyTestEntry,
)

POLICIES = Path(__file__).parents[3] / "policies"

SMALL = """
name: small
background: [a person]
labels:
  weapons:
    prompts: [a handgun]
"""


def refusal(text: str, file: str = "small.yaml") -> str:
    with pytest.raises(InvalidPolicyError) as error:
        parse_policy(text, file)
    return error.value.message


def test_what_is_left_out_has_the_documented_value():
    assert parse_policy(SMALL, "small.yaml") == Policy(
        name="small",
        background=("a person",),
        labels=(Label("weapons", ("a handgun",), "", (), review=0.5, block=None, severity=3),),
        description="",
        templates=DEFAULT_TEMPLATES,
        on_undecodable=Action.REVIEW,
        on_error=Action.REVIEW,
        on_partly_seen=Action.REVIEW,
    )


def test_kinds_of_files_are_read_and_what_is_as_the_default_says_nothing():
    written = SMALL + "on_undecodable: {svg: block, default: allow, pdf: allow, broken: review}\n"
    plain = parse_policy(SMALL + "on_undecodable: allow\n", "small.yaml")

    policy = parse_policy(written, "small.yaml")

    assert policy.on_undecodable is Action.ALLOW
    assert policy.on_undecodable_kinds == (
        (UndecodableKind.BROKEN, Action.REVIEW),
        (UndecodableKind.SVG, Action.BLOCK),
    )
    assert [policy.action_for(UndecodableKind(kind)).value for kind in ("svg", "pdf", "truncated")] == [
        "block",
        "allow",
        "allow",
    ]
    same = SMALL + "on_undecodable: {default: allow, pdf: allow}\n"
    assert parse_policy(same, "small.yaml").digest == plain.digest != policy.digest


def test_every_kind_can_be_named():
    kinds = ", ".join(f"{kind.value}: block" for kind in UndecodableKind)

    policy = parse_policy(f"{SMALL}on_undecodable: {{{kinds}}}\n", "small.yaml")

    assert {kind for kind, _ in policy.on_undecodable_kinds} == set(UndecodableKind)


def test_every_key_is_read():
    text = """
    name: full
    description: >
      Everything that a file
      can say.
    templates: ["{}", "a drawing of {}"]
    background: [a person, "no"]
    labels:
      weapons:
        description: Guns.
        prompts:
          - a handgun
          - "a sword:
            sharp"
        lookalikes: [a toy]
        words: [AK-47, "\uff17\uff16", 枪]
        review: 0.1
        block: 1
        severity: 5
      alcohol: {prompts: [a beer], review: .25, exclude_from_automatic_block: yes}
    text: {background: [nice day, nice day, "no"]}
    on_undecodable: block
    on_error: allow
    on_partly_seen: block
    limits: {automatic_blocks_per_hour: 0}
    audit: {share_of_allowed: 1}
    shadow: true
    tests:
      - picture: cases/a.png
        expect: {action: review, labels: [alcohol, weapons]}
      - {picture: b.png, expect: {labels: []}}
      - {picture: c.png, expect: {action: allow}}
    """
    assert parse_policy(text, Path("policies/full.yaml")) == Policy(
        name="full",
        description="Everything that a file can say.",
        templates=("{}", "a drawing of {}"),
        background=("a person", "no"),
        labels=(
            Label(
                "weapons",
                ("a handgun", "a sword: sharp"),
                "Guns.",
                ("a toy",),
                0.1,
                1.0,
                5,
                words=("AK-47", "76", "枪"),
            ),
            Label("alcohol", ("a beer",), review=0.25, exclude_from_automatic_block=True),
        ),
        on_undecodable=Action.BLOCK,
        on_error=Action.ALLOW,
        on_partly_seen=Action.BLOCK,
        automatic_blocks_per_hour=0,
        share_of_allowed=1.0,
        shadow=True,
        tests=(
            PolicyTest("cases/a.png", Action.REVIEW, frozenset({"alcohol", "weapons"})),
            PolicyTest("b.png", None, frozenset()),
            PolicyTest("c.png", Action.ALLOW, None),
        ),
        captions=Captions(("nice day", "no")),
    )


@pytest.mark.parametrize(("line", "captions"), [("true", Captions()), ("false", None), ("{}", Captions())])
def test_a_switch_turns_texts_on_with_the_shipped_captions(line, captions):
    assert parse_policy(f"{SMALL}text: {line}\n", "small.yaml").captions == captions


TESTED = SMALL + "tests: [{picture: cases/a.png, expect: {action: allow}}]\n"


def test_the_pictures_of_tests_are_looked_for_only_where_a_folder_is_given(tmp_path):
    assert len(parse_policy(TESTED, "small.yaml").tests) == 1
    with pytest.raises(InvalidPolicyError, match=r'the picture "cases/a\.png" is not there'):
        parse_policy(TESTED, "small.yaml", folder=tmp_path)


def test_a_file_that_is_read_must_have_the_pictures_of_its_tests_beside_it(tmp_path):
    (tmp_path / "small.yaml").write_text(TESTED, encoding="utf-8")
    with pytest.raises(
        InvalidPolicyError, match=r'small\.yaml:7:19: the picture "cases/a\.png" is not there'
    ):
        read_policy(tmp_path / "small.yaml")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "a.png").touch()
    assert read_policy(tmp_path / "small.yaml")[0].tests[0].picture == "cases/a.png"


def test_a_picture_may_be_a_link_inside_the_folder_but_not_out_of_it(tmp_path):
    outside, folder = tmp_path / "outside.png", tmp_path / "policies"
    (folder / "cases").mkdir(parents=True)
    (folder / "real.png").touch()
    outside.touch()
    picture = folder / "cases" / "a.png"
    picture.symlink_to(folder / "real.png")
    parse_policy(TESTED, "small.yaml", folder=folder)
    picture.unlink()
    picture.symlink_to(outside)
    with pytest.raises(InvalidPolicyError, match="is a link that leads out of the policy's folder"):
        parse_policy(TESTED, "small.yaml", folder=folder)


def test_a_picture_that_links_to_itself_or_has_no_possible_name_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name in ("loop", "x" * 300):
        text = TESTED.replace("cases/a.png", name)
        with pytest.raises(InvalidPolicyError, match=r"is not there|cannot be read"):
            parse_policy(text, "small.yaml", folder=tmp_path)


def test_numbers_become_the_types_of_the_domain():
    label = parse_policy(SMALL + "    review: 1\n    block: 1\n", "small.yaml").label("weapons")
    assert (type(label.review), type(label.block)) == (float, float)


def test_a_repeated_phrase_and_its_white_space_mean_nothing():
    repeated = SMALL.replace("[a handgun]", '[a handgun, "  a   handgun ", a handgun]')
    assert parse_policy(repeated, "small.yaml").digest == parse_policy(SMALL, "small.yaml").digest


def test_comments_layout_and_the_order_of_keys_mean_nothing():
    rewritten = """
    # The same, written by somebody else.
    labels:
        weapons: {severity: 3, prompts: ["a handgun"]}   # guns
    background:
    - a person
    name: "small"
    """
    assert parse_policy(rewritten, "small.yaml").digest == parse_policy(SMALL, "small.yaml").digest


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_of_any_system_are_read_and_counted(ending):
    text = SMALL.replace("\n", ending)
    assert parse_policy(text, "small.yaml") == parse_policy(SMALL, "small.yaml")
    assert refusal(text + "    treshold: 1" + ending).startswith("small.yaml:7:5: unknown key")


def test_a_byte_order_mark_is_read_over(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL.lstrip(), encoding="utf-8-sig")
    policy, text = read_policy(tmp_path / "small.yaml")
    assert policy.name == "small"
    assert text.startswith("\ufeffname")


def test_the_text_is_returned_as_it_was(tmp_path):
    text = "# ä comment\r\n" + SMALL
    (tmp_path / "small.yaml").write_bytes(text.encode())
    assert read_policy(tmp_path / "small.yaml") == (parse_policy(SMALL, "small.yaml"), text)


def test_all_problems_are_listed_in_the_order_of_the_text():
    message = refusal(
        "treshold: 1\nbackground: []\nlabels:\n  Weapons:\n    prompts: [no]\n    severity: 9\n"
    )
    places = [line.split(":")[1:3] for line in message.splitlines() if line.startswith("small.yaml:")]
    assert places == [["1", "1"], ["1", "1"], ["2", "13"], ["4", "3"], ["5", "15"], ["6", "15"]]


def test_thousands_of_problems_are_cut_and_counted():
    message = refusal(SMALL.replace("[a handgun]", "[" + "no, " * 400 + "no]"))
    assert message.count("YAML reads") == 50
    assert message.endswith("small.yaml: and 351 more problems")


def test_too_many_phrases_are_refused():
    phrases = ", ".join(f"thing {n}" for n in range(MAX_PHRASES))
    assert refusal(SMALL.replace("[a person]", f"[{phrases}]")) == (
        "small.yaml: the policy has 10,001 phrases; at most 10,000 are allowed"
    )


def test_too_many_labels_are_refused():
    labels = "".join(f"  label{n}: {{prompts: [a handgun]}}\n" for n in range(MAX_LABELS))
    assert '"labels" has 1,001 entries; at most 1,000 are allowed' in refusal(SMALL + labels)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(SMALL + "#" * MAX_FILE_BYTES, encoding="utf-8")
    with pytest.raises(InvalidPolicyError, match=r"small\.yaml: the file is too large.*1,048,576"):
        read_policy(file)


def test_a_missing_file_is_refused_by_its_name(tmp_path):
    with pytest.raises(InvalidPolicyError, match=r"nothing\.yaml: there is no such file"):
        read_policy(tmp_path / "nothing.yaml")


def test_a_folder_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(InvalidPolicyError, match=r"this is a folder\n  hint: name the files in it"):
        read_policy(tmp_path)


def test_an_impossible_path_is_refused():
    with pytest.raises(InvalidPolicyError, match="the file cannot be read: embedded null byte"):
        read_policy(Path("nul\0.yaml"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(SMALL, encoding="utf-8")
    file.chmod(0)
    with pytest.raises(InvalidPolicyError, match="the file cannot be read: Permission denied"):
        read_policy(file)


@pytest.mark.parametrize("file", sorted(POLICIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_shipped_policy_has_no_problems(file):
    policy, _ = read_policy(file)
    assert len(policy.labels) >= 5


def test_the_shipped_policies_leave_context_to_people():
    policy, _ = read_policy(POLICIES / "default.yaml")
    assert [label.name for label in policy.labels if label.block is not None] == ["sexual_activity"]


def test_every_key_of_the_format_says_what_it_is_for():
    for entry in (PolicyEntry, LabelEntry, LimitsEntry, AuditEntry, PolicyTestEntry, ExpectationEntry):
        for name, key in entry.model_fields.items():
            assert key.description, name


def assert_read_or_refused(text: str, name: str) -> None:
    """Anything else that comes out of the parser is a bug: an exception of another kind, an unprintable message."""
    try:
        outcome = f"{parse_policy(text, f'{name}.yaml').name}.yaml is a policy"
    except InvalidPolicyError as error:
        outcome = error.message
    assert outcome.startswith(f"{name}.yaml")
    assert outcome.encode()


#: Pieces that meet in policies and break them; random characters alone would hardly ever be YAML.
PIECES = st.sampled_from(
    ["name: small\n", "background:", "labels:", "  weapons:", "    prompts:", "review: ", "block: ", "severity: ",
     "templates: ", "on_error: ", "description: ", "- ", "a handgun", "a person", "{}", "[", "]", "{", "}", ", ", ": ",
     ":", "\n", "\n  ", "\n    ", "\n      ", "\t", "#", "'", '"', "&a ", "*a", "!!str ", "!x ", "---\n", "...\n", "| ",
     "> ", "%YAML 1.2\n", "%TAG ! x\n", "? ", "<<: ", "~", "no", "1980", "0.5", ".nan", ".inf", "-1", "0x1F", "1:2",
     "limits:", "audit: ", "shadow: ", "tests:", "  - picture: ", "    expect: ", "cases/a.png", "true", "allow",
     "2020-01-01", "\\", "\\U00110000", "\\ud800", "\ufeff", "\x00", "\x85", "\u2028", "é", "🔫", "\ud800", "[key]"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
@example('"\\UFFFFFFFF"')
@example("[" * 5000)
@example("%YAML " + "9" * 5000 + ".1\n---\na")
@example('"\\ud800": x')
@example('labels: {"[key]": {"[key]": 1}, "[KEY]": 2}\n"[key]": 1')
@example(SMALL + "  ? [a]\n  : x\n")
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_a_policy_or_a_clear_refusal(text):
    assert_read_or_refused(text, "small")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_damage_to_a_good_policy_leaves_a_policy_or_a_clear_refusal(data):
    whole = (POLICIES / "stickers.yaml").read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.integers(0, 20))
    damaged = whole[:start] + data.draw(PIECES | st.just("")) + whole[start + cut :]
    assert_read_or_refused(damaged, "stickers")


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_a_policy_or_a_clear_refusal(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("policies") / "small.yaml"
    file.write_bytes(data)
    with pytest.raises(InvalidPolicyError, match=r"small\.yaml"):
        read_policy(file)
