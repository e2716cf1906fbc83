"""WordNet's nouns, read from the files of Debian's `wordnet-base`: synonyms, broader terms, common words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

DEFAULT_FOLDER = Path("/usr/share/wordnet")
#: Lexicographer files of what can be drawn: act, animal, artifact, body, event, food, location, object,
#: phenomenon, plant, possession, shape, substance. Numbers of WordNet's lexnames(5WN).
DRAWABLE = frozenset({4, 5, 6, 8, 11, 13, 15, 17, 19, 20, 21, 25, 27})
#: Meanings nearer to "entity" than this ("artifact", "whole", "device") are too general.
MIN_DEPTH = 7


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning: its words, and its broader meanings."""

    lexicographer_file: int
    words: tuple[str, ...]
    broader: tuple[int, ...]


@dataclass(frozen=True)
class WordNet:
    """Nouns by meaning."""

    synsets: dict[int, Synset]
    #: The meanings of a word, most frequent first.
    senses: dict[str, tuple[int, ...]]
    #: Words that occur in WordNet's sense-tagged texts.
    attested: frozenset[str] = field(default=frozenset())

    @classmethod
    def read(cls, folder: Path = DEFAULT_FOLDER) -> "WordNet":
        """Read `data.noun` and `index.noun`, whose format is wndb(5WN)."""
        synsets = dict(_read_synsets(folder / "data.noun"))
        senses, attested = {}, set()
        for fields in _records(folder / "index.noun"):
            pointers = int(fields[3])
            word = fields[0].replace("_", " ")
            senses[word] = tuple(int(offset) for offset in fields[6 + pointers :])
            if int(fields[5 + pointers]) > 0:
                attested.add(word)
        return cls(synsets, senses, frozenset(attested))

    def sense(self, word: str, kinds: frozenset[int]) -> int | None:
        """Return the most frequent meaning of `word` within the lexicographer files `kinds`."""
        for offset in self.senses.get(word, ()):
            if self.synsets[offset].lexicographer_file in kinds:
                return offset
        return None

    def broader(self, offset: int, levels: int) -> Iterator[int]:
        """Yield the meanings up to `levels` above `offset`, without the abstract top of the tree."""
        for above in self.synsets[offset].broader if levels else ():
            if self._depth(above) >= MIN_DEPTH:
                yield above
                yield from self.broader(above, levels - 1)

    def _depth(self, offset: int) -> int:
        """Return the number of steps from `offset` up to "entity", on the shortest path."""
        return min((1 + self._depth(above) for above in self.synsets[offset].broader), default=0)

    @cached_property
    def common_nouns(self) -> tuple[str, ...]:
        """Attested nouns, and nouns with several meanings, one of them drawable: rare words have only one."""
        several = {
            word
            for word, senses in self.senses.items()
            if len(senses) > 1 and any(self.synsets[sense].lexicographer_file in DRAWABLE for sense in senses)
        }
        plain = (word for word in several | self.attested if word.count(" ") < 2 and word.isascii())
        return tuple(sorted(word for word in plain if word.replace(" ", "").replace("-", "").isalpha()))


def _read_synsets(path: Path) -> Iterator[tuple[int, Synset]]:
    for fields in _records(path):
        count = int(fields[3], 16)
        words = tuple(fields[4 + 2 * n].replace("_", " ") for n in range(count))
        pointers = fields[4 + 2 * count + 1 :]
        broader = tuple(
            int(pointers[4 * n + 1])
            for n in range(int(fields[4 + 2 * count]))
            if pointers[4 * n] in {"@", "@i"} and pointers[4 * n + 2] == "n"
        )
        yield int(fields[0]), Synset(int(fields[1]), words, broader)


def _records(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8") as lines:
        # The licence at the top is indented by two spaces.
        yield from (line.split("|")[0].split() for line in lines if not line.startswith("  "))
