"""Reads YAML as plain data with its places, without anchors, aliases, tags and deep nesting."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from worker.policy_files.yaml_text.problems import Mark, Problems, quote
from worker.policy_files.yaml_text.syntax_errors import explain_syntax_error

#: Where a value is: ("labels", "weapons", "prompts", 0).
Location = tuple[str | int, ...]

#: The format needs four.
MAX_DEPTH: Final = 16
_TAG: Final = "tag:yaml.org,2002:"
_DECIMAL: Final = re.compile(r"[-+]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})")
_WHAT_YAML_READS: Final = {
    "bool": "true or false",
    "float": "a number",
    "int": "a number",
    "map": "a mapping",
    "merge": "a merge key",
    "null": "nothing",
    "seq": "a list",
    "str": "text",
    "timestamp": "a date",
}


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a file, and the node of each value and key.

    `data` consists of mappings, lists, text, decimal numbers and booleans. Other YAML values (null, dates,
    hexadecimal numbers) stay nodes, which no key of the format accepts.
    """

    data: Any
    values: Mapping[Location, Node]
    keys: Mapping[Location, Node]


def read_document(text: str, problems: Problems) -> Document | None:
    """Parse `text`, and report its YAML problems; None if it cannot be parsed."""
    try:
        root = _Composer(text, problems).get_single_node()
    except _TooDeepError:
        return None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        explain_syntax_error(error, text, problems)
        return None
    if root is None:
        problems.add_for_file("the file is empty", "policies/README.md shows what a policy looks like")
        return None
    return _Reading(problems).document(root)


def describe(node: Node) -> str:
    """Return the YAML type of `node`, in words."""
    return _WHAT_YAML_READS.get(str(node.tag).removeprefix(_TAG), "something else")


def as_mapping(data: Any) -> Mapping[str, Any]:
    """Return `data` if it is a mapping, or else an empty one."""
    return data if isinstance(data, dict) else {}


def is_blank(node: Node) -> bool:
    """Whether a value is left blank."""
    return isinstance(node, ScalarNode) and not node.value and node.style is None


class _TooDeepError(Exception):
    """The document is nested too deeply; the problem was reported."""


class _Composer(yaml.SafeLoader):
    """PyYAML's composer, which reports anchors, aliases and tags instead of applying them."""

    def __init__(self, text: str, problems: Problems) -> None:
        super().__init__(text)
        self._problems = problems
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            self._refuse(event.start_mark, f"*{event.anchor}", "an alias")
            return ScalarNode("!alias", "", event.start_mark, event.end_mark)
        if event.tag is not None:
            self._refuse(event.start_mark, event.tag.replace(_TAG, "!!"), "a tag")
            event.tag = None
        if event.anchor is not None:
            self._refuse(event.start_mark, f"&{event.anchor}", "an anchor")
            event.anchor = None
        return self._compose_below(event.start_mark, parent, index)

    def _compose_below(self, mark: Mark, parent: Node | None, index: int) -> Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._problems.add(
                mark, "this is nested too deeply", "a policy has labels, and a label has lists of phrases"
            )
            raise _TooDeepError
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refuse(self, mark: Mark, written: str, what: str) -> None:
        message = f"{quote(written)} is {what}, which a policy cannot use"
        self._problems.add(
            mark, message, "write the phrases out; text that starts with & * or ! goes in quotes"
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """Turns nodes into data, and records the node of every location."""

    problems: Problems
    values: dict[Location, Node] = field(default_factory=dict)
    keys: dict[Location, Node] = field(default_factory=dict)

    def document(self, root: Node) -> Document:
        return Document(self._data(root, ()), self.values, self.keys)

    def _data(self, node: Node, at: Location) -> Any:
        self.values[at] = node
        if isinstance(node, MappingNode):
            return self._mapping(node, at)
        if isinstance(node, SequenceNode):
            return [self._data(item, (*at, n)) for n, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, at: Location) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            here = (*at, key)
            if key in data:
                hint = f"it is on line {self.keys[here].start_mark.line + 1} already: keep one of them"
                self.problems.add(key_node.start_mark, f"duplicate key {quote(key)}", hint)
                continue
            self.keys[here] = key_node
            data[key] = self._data(value_node, here)
        return data

    def _key(self, node: Node) -> str | None:
        """Return a node's text as a key, or report why it is invalid; None if it cannot be used."""
        what, mark = describe(node), node.start_mark
        if not isinstance(node, ScalarNode):
            self.problems.add(mark, f"a key must be a word, not {what}")
            return None
        if what == "a merge key":
            self.problems.add(mark, '"<<" is a merge key, which a policy cannot use', "write the keys out")
            return None
        if what != "text":
            hint = f"write it in quotes: {quote(node.value)}"
            self.problems.add(mark, f"YAML reads {quote(node.value)} as {what}", hint)
        return str(node.value) if self._is_printable(node) else None

    def _scalar(self, node: Node) -> Any:
        match describe(node):
            case "text":
                self._is_printable(node)
                return node.value
            case "true or false":
                return node.value.lower() in ("true", "yes", "on")
            case "a number" if _DECIMAL.fullmatch(node.value):
                return float(node.value) if "." in node.value else int(node.value)
            case _:
                return node

    def _is_printable(self, node: Node) -> bool:
        """Report characters that only an escape can write and no database or tokenizer accepts."""
        odd = next(
            (c for c in node.value if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n\r"), None
        )
        if odd is None:
            return True
        message = f"the text contains the unprintable character U+{ord(odd):04X}"
        self.problems.add(node.start_mark, message, "remove it")
        return False
