"""Reads concrete-nouns.txt: harmless things that pictures show, candidates for a policy's background."""

from worker import resources


def concrete_nouns() -> tuple[str, ...]:
    """Return the phrases of the shipped list, in its order."""
    file = resources.folder("policies") / "concrete-nouns.txt"
    lines = map(str.strip, file.read_text(encoding="utf-8").splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
