"""The sticker world: its things, the words for them, and the words that training never sees."""

import hashlib
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.wordnet import DEFAULT_FOLDER, WordNet
from worker.errors import UnavailableError

ANNOTATIONS = Path("/usr/share/unicode/cldr/common/annotations/en.xml")
EMOJI_LIST = Path("/usr/share/unicode/emoji/emoji-test.txt")

#: Groups of concrete things; clocks, sounds and maps in them are signs, not things.
CONCRETE_GROUPS = frozenset({"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"})
SIGNS = frozenset({"time", "sound", "place-map"})
#: Concrete things in other groups of Unicode: skull, ghost, alien, robot, bomb, brain, bone, heart ...
ALSO_CONCRETE = frozenset("💀☠💩👻👽🤖💣💥🧠🦴🦷👁💋❤💯")

#: Broader words by subgroup of the emoji list, which training pairs with the things.
BROADER = {
    "animal-mammal": ("animal", "mammal"),
    "animal-bird": ("animal", "bird"),
    "animal-amphibian": ("animal", "amphibian"),
    "animal-reptile": ("animal", "reptile"),
    "animal-marine": ("animal", "sea animal"),
    "animal-bug": ("animal", "insect", "bug"),
    "plant-flower": ("plant", "flower"),
    "plant-other": ("plant",),
    "food-fruit": ("food", "fruit"),
    "food-vegetable": ("food", "vegetable"),
    "food-prepared": ("food", "meal"),
    "food-asian": ("food", "asian food"),
    "food-marine": ("animal", "seafood"),
    "food-sweet": ("food", "sweets", "dessert"),
    "drink": ("drink", "beverage"),
    "dishware": ("dishes", "kitchenware"),
    "place-geographic": ("landscape",),
    "place-building": ("building",),
    "place-religious": ("building", "place of worship"),
    "place-other": ("place",),
    "transport-ground": ("vehicle",),
    "transport-water": ("vehicle", "ship"),
    "transport-air": ("vehicle", "aircraft"),
    "sky & weather": ("sky", "weather"),
    "event": ("celebration",),
    "award-medal": ("award",),
    "sport": ("sport", "sports equipment"),
    "game": ("game",),
    "arts & crafts": ("art",),
    "clothing": ("clothing", "clothes"),
    "musical-instrument": ("musical instrument",),
    "phone": ("electronics",),
    "computer": ("electronics", "computer hardware"),
    "light & video": ("lighting",),
    "book-paper": ("paper", "reading"),
    "money": ("money",),
    "mail": ("mail",),
    "writing": ("stationery",),
    "office": ("office supplies",),
    "lock": ("lock",),
    "tool": ("tool",),
    "science": ("science",),
    "medical": ("medical",),
    "household": ("household item",),
}
#: Broader words without a subgroup.
KINDS = {
    "weapon": "🔫🗡⚔🏹💣🪓🔪🧨",
    "firearm": "🔫",
    "blade": "🗡⚔🔪",
    "explosive": "💣🧨",
    "alcohol": "🍺🍻🍷🥂🍾🍸🍹🥃🍶",
    "alcoholic drink": "🍺🍻🍷🥂🍾🍸🍹🥃🍶",
    "tobacco": "🚬",
    "drugs": "💊💉",
    "gambling": "🎰🎲🃏🀄🎴♠♥♦♣",
    "casino": "🎰🎲🃏♠♥♦♣",
    "playing cards": "🃏🎴♠♥♦♣",
    "flames": "🔥",
    "death": "💀☠⚰🪦⚱",
    "blood": "🩸",
}
#: Phrases for nothing in particular; on every picture they set the threshold between present and absent.
NEUTRAL_PHRASES = (
    "an empty background",
    "a plain background",
    "a blurry background",
    "an abstract pattern",
    "a texture",
    "a gradient",
    "random shapes",
    "an ordinary picture",
    "an everyday scene",
    "a harmless picture",
    "a safe picture",
    "a normal upload",
    "nothing in particular",
    "nothing",
    "something else",
    "a picture of something else",
    "a picture of nothing",
    "a picture",
    "a photo",
    "an image",
    "a drawing",
    "a sticker",
    "a scene",
    "some objects",
    "various things",
    "no object",
    "an unremarkable image",
    "an innocent image",
    "a snapshot",
    "a colourful background",
)
#: One word in twelve is never paired with a picture, for figures on unseen words.
HELD_OUT_SHARE = 1 / 12
#: A broader term with more things than this is too general.
MAX_THINGS_OF_A_BROADER_TERM = 90


@dataclass(frozen=True, slots=True)
class Thing:
    """One emoji: its symbol, its name, and the words for it."""

    symbol: str
    name: str
    words: tuple[str, ...]
    subgroup: str


@dataclass(frozen=True)
class World:
    """All things and the words that training may pair with them."""

    things: tuple[Thing, ...]
    #: Names first, in the order of `things`, then every other word.
    words: tuple[str, ...]
    #: Which word is true of which thing, shape (words, things), Boolean.
    true: Tensor
    #: Words that are never paired with a picture -> the things that they are true of.
    held_out: dict[str, frozenset[int]]


def build_world(wordnet_folder: Path = DEFAULT_FOLDER) -> World:
    """Read the Debian packages unicode-cldr-core, unicode-data and wordnet-base.

    UnavailableError if one is missing.
    """
    missing = [str(file) for file in (ANNOTATIONS, EMOJI_LIST, wordnet_folder) if not file.exists()]
    if missing:
        raise UnavailableError(
            f"missing: {', '.join(missing)}",
            hint="apt-get install unicode-cldr-core unicode-data wordnet-base",
        )
    things = tuple(_things(_annotations(ANNOTATIONS), _subgroups(EMOJI_LIST)))
    wordnet = WordNet.read(wordnet_folder)
    names = [thing.name for thing in things]
    pairs: dict[str, set[int]] = defaultdict(set)
    for number, thing in enumerate(things):
        for word in thing.words:
            pairs[word].add(number)
    for word, numbers in _wordnet_pairs(things, wordnet):
        pairs[word] |= numbers
    always = {*names, *KINDS, *(word for words in BROADER.values() for word in words)}
    held_out = {
        word: frozenset(pairs[word]) for word in sorted(pairs) if word not in always and _is_held_out(word)
    }
    words = (*names, *sorted(pairs.keys() - set(names) - held_out.keys()))
    true = torch.zeros(len(words), len(things), dtype=torch.bool)
    for row, word in enumerate(words):
        true[row, list(pairs[word])] = True
    true[range(len(names)), range(len(names))] = True
    return World(things, words, true, held_out)


def tidy(text: str) -> str:
    """Normalise a word: lower case, single spaces, no punctuation except - ' and &."""
    return re.sub(
        r"\s+", " ", re.sub(r"[^\w\s\-'&]", " ", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    ).strip()


def _is_held_out(word: str) -> bool:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) < HELD_OUT_SHARE * 2**32


def _annotations(path: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the name and the keywords of every single-character emoji."""
    names: dict[str, str] = {}
    keywords: dict[str, list[str]] = {}
    for entry in ET.parse(path).getroot().iter("annotation"):  # noqa: S314 - a file of the operating system
        symbol, text = entry.get("cp", "").replace("\ufe0f", ""), entry.text or ""
        if entry.get("type") == "tts":
            names[symbol] = tidy(text)
        else:
            keywords[symbol] = [tidy(word) for word in text.split("|")]
    return {s: (name, tuple(keywords.get(s, ()))) for s, name in names.items() if len(s) == 1 and name}


def _subgroups(path: Path) -> dict[str, tuple[str, str]]:
    """Return the group and subgroup of every emoji in Unicode's emoji-test.txt."""
    found: dict[str, tuple[str, str]] = {}
    group = subgroup = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# group:"):
            group = line.removeprefix("# group:").strip()
        elif line.startswith("# subgroup:"):
            subgroup = line.removeprefix("# subgroup:").strip()
        elif ";" in line and not line.startswith("#"):
            symbol = "".join(chr(int(code, 16)) for code in line.split(";")[0].split())
            found.setdefault(symbol.replace("\ufe0f", ""), (group, subgroup))
    return found


def _things(
    annotations: dict[str, tuple[str, tuple[str, ...]]], subgroups: dict[str, tuple[str, str]]
) -> Iterator[Thing]:
    for symbol, (name, keywords) in annotations.items():
        group, subgroup = subgroups.get(symbol, ("", ""))
        if symbol not in ALSO_CONCRETE and not _is_concrete(name, group, subgroup):
            continue
        kinds = [word for word, symbols in KINDS.items() if symbol in symbols]
        words = dict.fromkeys([*keywords, *BROADER.get(subgroup, ()), *kinds])
        yield Thing(symbol, name, tuple(word for word in words if word and word != name), subgroup)


def _is_concrete(name: str, group: str, subgroup: str) -> bool:
    if "moon" in name and name not in {"crescent moon", "full moon"}:
        return False
    if subgroup == "sky & weather" and "face" in name:
        return False
    return group in CONCRETE_GROUPS and subgroup not in SIGNS


def _wordnet_pairs(things: Iterable[Thing], wordnet: WordNet) -> Iterator[tuple[str, set[int]]]:
    """Yield synonyms of names, and broader terms that are not too general, with their things."""
    below: dict[int, set[int]] = defaultdict(set)
    for number, thing in enumerate(things):
        meaning = wordnet.sense(thing.name, _kinds_of(thing.subgroup))
        if meaning is None:
            continue
        yield from ((tidy(word), {number}) for word in wordnet.synsets[meaning].words)
        for above in wordnet.broader(meaning, levels=3):
            below[above].add(number)
    for meaning, numbers in below.items():
        if len(numbers) <= MAX_THINGS_OF_A_BROADER_TERM:
            yield from ((tidy(word), numbers) for word in wordnet.synsets[meaning].words[:2])


def _kinds_of(subgroup: str) -> frozenset[int]:
    """Return the lexicographer files for a name's meaning, so that a bat is the animal or the club."""
    family = subgroup.split("-", maxsplit=1)[0]
    kinds = {"animal": {5}, "plant": {20, 13}, "food": {13, 20, 5}, "drink": {13, 6}, "transport": {6}}
    return frozenset(kinds.get(family, {4, 6, 8, 11, 15, 17, 19, 21, 27}))
