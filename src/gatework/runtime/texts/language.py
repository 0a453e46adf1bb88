"""What languages bring to words: stop words and stems."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from gatework.errors import OptionError


@cache
def stop_words(languages: tuple[str, ...]) -> frozenset[str]:
    """Stop words of languages by their ISO codes, from the stopwords-iso collection."""
    try:
        import stopwordsiso
    except ImportError:
        raise OptionError(_needed("stopwordsiso", f"stop words of {', '.join(languages)}")) from None
    if unknown := [each for each in languages if not stopwordsiso.has_lang(each)]:
        raise OptionError(f"no stop words for {unknown[0]!r}: there are {', '.join(sorted(stopwordsiso.langs()))}")
    return frozenset().union(*map(stopwordsiso.stopwords, languages))


def stems(words: Sequence[str], language: str) -> list[str]:
    """Each word's stem by the Snowball algorithm of a language: `stems(["running"], "english")` is `["run"]`."""
    try:
        import snowballstemmer
    except ImportError:
        raise OptionError(_needed("snowballstemmer", f"stems of {language} words")) from None
    if language not in (known := sorted(snowballstemmer.algorithms())):
        raise OptionError(f"no stemmer for {language!r}: there are {', '.join(known)}")
    return snowballstemmer.stemmer(language).stemWords(list(words))


def _needed(package: str, what: str) -> str:
    return f"{what} need the package {package}, which is not installed; run: pip install {package}"
