"""What languages bring to words: stop words and stems."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

from gatework.errors import OptionError

REMEMBERED = 100_000  # stems


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
    if language not in (known := snowballstemmer.algorithms()):
        raise OptionError(f"no stemmer for {language!r}: there are {', '.join(sorted(known))}")
    return [_stem(word, language) for word in words]


@lru_cache(REMEMBERED)
def _stem(word: str, language: str) -> str:
    import snowballstemmer

    return snowballstemmer.stemmer(language).stemWord(word)  # a new one: it keeps state, and threads share this


def _needed(package: str, what: str) -> str:
    return f"{what} need the package {package}, which is not installed; run: pip install {package}"
