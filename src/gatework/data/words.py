"""What languages bring to word tokens: names of languages are checked, with the nearest that there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatework.data.suggest import did_you_mean
from gatework.errors import OptionError
from gatework.runtime.texts import language as spoken


def stop_words(languages: Iterable[str]) -> frozenset[str]:
    """Stop words of languages given by their ISO codes: `stop_words(["en", "de"])` holds "the" and "und".

    Source: the stopwords-iso collection. Note that it counts "not" and "no" among the English ones.
    """
    if not (wanted := tuple(languages)):
        return frozenset()
    import stopwordsiso

    for language in wanted:
        _known(language, stopwordsiso.langs(), "stop words")
    return spoken.stop_words(wanted)


def stems(words: Sequence[str], language: str) -> list[str]:
    """Each word's stem by the Snowball algorithm of a language: `stems(["running"], "english")` is `["run"]`."""
    import snowballstemmer

    _known(language, snowballstemmer.algorithms(), "stemmer")
    return spoken.stems(words, language)


def _known(language: str, known: Iterable[str], what: str) -> None:
    if language not in (names := sorted(known)):
        raise OptionError(f"no {what} for {language!r}: there are {', '.join(names)}{did_you_mean(language, names)}")
