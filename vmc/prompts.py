"""Appearance-invariant prompts (Sec. 3.2): the words that a motion is tuned with.

The paper tunes with "unfaithful" prompts, "A bird is flying" for "A bird is flying above a lake in
the forest", so that what the prompt leaves out does not become part of what is learned. It writes
them by hand; here a short grammar does. Where it gets one wrong, write that one by hand too.
"""

import re

from vmc.errors import BadInput


def _words(text: str) -> set[str]:
    return set(text.split())


_AUXILIARIES = _words("is are was were am be been being has have")
_DETERMINERS = _words(
    "a an the this these those its his her their my our your some several many few each every "
    "another one two three four five six seven eight nine ten"
)
_JOIN = r"(?:, ?)?\b(?:and then|and|or|but|then|while)\b|,"
# Words that name a place without help, and words that open a phrase of place or surroundings.
_SETTINGS = _words("underwater outdoors indoors outside inside overhead nearby tonight")
_PREPOSITIONS = _SETTINGS | _words(
    "above across against along alongside amid among as at atop before behind below beneath beside "
    "between beyond by during from in into near next on onto over past through throughout to "
    "toward towards under underneath upon with within"
)
# Which way something moves: that stays, and what it is relative to goes ("up a tree").
_WAYS = _words(
    "up down left right back off out away around round apart together forth forward forwards "
    "backward backwards upward upwards downward downwards sideways clockwise counterclockwise "
    "anticlockwise"
)
_ROADS = _words("road street path lane highway track river runway avenue corridor")
# Phrases that tell of the motion although a preposition opens them, by their last word.
_SIDES = _words("left right top bottom side centre center front back corner edge camera viewer")
_MANNERS = dict.fromkeys(["to", "toward", "towards", "from"], _SIDES) | {
    "at": _words("speed pace"),
    "in": _words(
        "circle circles line loop loops spiral spirals zigzag zigzags arc curve eight eights "
        "pattern motion reverse place direction directions unison formation pairs"
    ),
    "on": _words("axis spot leg legs feet toes tiptoe tiptoes knees hands fours"),
}
_ADVERB = re.compile(r"(?<!f)(?<!mi)(?<!li)ly$")  # "slowly", but no fly, family or lily
_BACKDROPS = _words("background backdrop")
_COLOURS = _words(
    "red orange yellow green blue purple violet pink brown black white grey gray golden silver "
    "turquoise teal cyan magenta beige crimson colourful colorful coloured colored"
)
_SHADES = _words("light dark bright pale deep")
_STYLES = _words("neon sketch sketched watercolour watercolor cartoon anime pixel-art style")
_FRAMING = re.compile(
    r"^(an? |the )?([\w-]+ ){0,2}?(video|clip|footage|film|animation|time-?lapse|painting|drawing|"
    r"sketch|picture|photo|photograph|image|render|rendering|illustration|shot|view|close-?up) of ",
    re.IGNORECASE,
)


def appearance_invariant(prompt) -> str:
    """The prompt without places, styles and colours: subjects and their motions remain (Sec. 3.2).

    "A bird is flying above a lake in the forest" gives "A bird is flying". The paper removes the
    background; styles and colours go as well, because they are appearance. Ways and manners stay
    ("backward", "to the left", "in circles"), and so does a prompt that names nothing but a place.
    These are plain rules for English, without a dictionary. Raises `BadInput` for a prompt that is
    empty or no string.
    """
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadInput('The prompt is empty or no text; say what moves, as in "a bird is flying".')
    prompt = " ".join(prompt.split())
    text = re.sub(r"\bpixel art\b", "pixel-art", _FRAMING.sub("", prompt), flags=re.IGNORECASE)
    tokens = re.compile(rf"{_JOIN}|[\w'’-]+", re.IGNORECASE)
    sentences = [tokens.findall(sentence) for sentence in re.split(r"[.!?;](?:\s|$)", text)]
    moving = [words for words in sentences if any(w[-3:] in ("ing", "ING") for w in words)]
    remaining = [" ".join(_colourless(_placeless(words))) for words in moving or sentences]
    result = ". ".join(filter(None, remaining)).replace(" ,", ",").replace("pixel-art", "pixel art")
    result = result.lstrip(", ")
    if not result or re.findall(r"\w+", result) == re.findall(r"\w+", prompt):
        return prompt
    first = result[0].upper() if prompt[0].isupper() else result[0]
    return first + result[1:] + "." * prompt.endswith(".")


def _verb(words: list[str]) -> int | None:
    """Where the first verb begins: at "is" or the like, else at an -ing that is no adjective."""
    lower = [word.lower() for word in words]
    for index, word in enumerate(lower):
        if word in _AUXILIARIES:
            return index
    for index, word in enumerate(lower):
        if re.fullmatch(r"\w{2,}ing", word) and not {*lower[:index][-1:]} & _DETERMINERS:
            return index
    return None


def _phrases(words: list[str]) -> list[tuple[str, list[str]]]:
    """A sentence in pieces that stay or go together, each with its kind."""
    lower, main = [word.lower() for word in words], _verb(words)
    phrases = [("noun", [])]
    for i, word in enumerate(lower):
        before, after = lower[i - 1] if i else ",", lower[i + 1] if i + 1 < len(lower) else ","
        free = before not in _DETERMINERS | _PREPOSITIONS
        ends = after in _PREPOSITIONS | _WAYS or _joins(after)
        opened = None
        if _joins(word):
            opened = "join"
        elif word in _AUXILIARIES or i == main or (_joins(before) and word.endswith("ing")):
            opened = "verb"
        elif word in _PREPOSITIONS:
            infinitive = word == "to" and after not in _DETERMINERS | _PREPOSITIONS | _SIDES
            if before not in _PREPOSITIONS and not infinitive:
                opened = "place"
        elif free and (word in _WAYS or (ends and _ADVERB.search(word))):
            opened = "way"
        elif phrases[-1][0] == "place" and free and word in _DETERMINERS and i < (main or 0):
            opened = "noun"  # "in the forest a bird is flying"
        if opened:
            phrases.append((opened, []))
        phrases[-1][1].append(words[i])
    return phrases


def _placeless(words: list[str]) -> list[str]:
    """A sentence without its phrases of place, nor the commas and "and"s that they leave behind."""
    phrases, kept, join = _phrases(words), [], []
    told, dropped = _verb(words) is None, False  # whether the verb is past; the last phrase gone
    for index, (kind, phrase) in enumerate(phrases):
        lower = [word.lower() for word in phrase]
        stays = phrase
        if kind == "join":
            join, stays = phrase[:1], phrase[1:]
            kinds = [k for k, _ in phrases[index + 1 :]]
            clause = "verb" in kinds[: kinds.index("join") if "join" in kinds else None]
            if told and not clause and (dropped or lower[0] == ","):
                stays = []
        elif kind == "verb":
            told, dropped = True, False
        elif kind == "way" and lower[1:] and lower[1] in _DETERMINERS | {"of"}:
            gone = lower[-1] in _ROADS or phrases[index - 1][0] == "place"
            stays, dropped = [] if gone else phrase[:1], True
        elif kind == "place":
            end = lower.index("of") if "of" in lower else len(lower)
            manners = [*_MANNERS.get(lower[0], ()), *phrases[index - 1][1][-1:]]  # "side by side"
            manner = told and lower[end - 1] in manners
            if lower[0] == "with":  # a second mover stays, a subject's hat does not
                gone = not told or _BACKDROPS & {word.lower() for word in words}
            elif set(lower[:end]) <= _PREPOSITIONS:  # "is passing by", but not "is running outside"
                gone = dropped or lower[-1] in _SETTINGS
            else:
                gone = not manner
            stays, dropped = [] if gone else phrase[:end], bool(gone or manner)
        if stays:
            kept += join + stays if kept else stays
            join = []
    return kept


def _joins(word: str) -> bool:
    return re.fullmatch(_JOIN, word) is not None


def _colourless(words: list[str]) -> list[str]:
    """Without colours and styles where they describe a noun; "a" and "an" follow suit."""
    lower = [word.lower() for word in words]
    closed = _AUXILIARIES | _DETERMINERS | _PREPOSITIONS | _WAYS
    kept, noun_follows, gone = [], False, False
    for i in reversed(range(len(words))):
        before, word = lower[i - 1] if i else "", lower[i]
        coloured = bool(_COLOURS & set(word.split("-")))
        style = word in _STYLES and (noun_follows or before not in _DETERMINERS)
        between = gone and (word in _SHADES or (word == "and" and before in _COLOURS))
        if style or between or (coloured and noun_follows):
            gone = True
            continue
        if gone and word in ("a", "an"):
            vowel = re.match(r"[aeiou](?!ni[^mn]|fo)|hour", lower[kept[-1]]) if kept else None
            words = [*words[:i], words[i][0] + "n" * bool(vowel), *words[i + 1 :]]
        # An "orange rolling" is a fruit; an "orange rolling ball" and "orange building is" are not.
        neutral = _ADVERB.search(word) or (word.endswith("ing") and not _AUXILIARIES & set(lower))
        if not neutral:
            noun_follows = word not in closed and not _joins(word)
        gone = False
        kept.append(i)
    return [words[i] for i in reversed(kept)]
