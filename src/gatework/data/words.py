"""What languages bring to word tokens: stop words and stems. Both work on the different words, not on the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatework.data.suggest import did_you_mean
from gatework.errors import OptionError


def stop_words(languages: Iterable[str]) -> frozenset[str]:
    """Stop words of languages given by their ISO codes: `stop_words(["en", "de"])` holds "the" and "und".

    Source: the stopwords-iso collection. Note that it counts "not" and "no" among the English ones.
    """
    import stopwordsiso

    words: set[str] = set()
    for language in languages:
        if not stopwordsiso.has_lang(language):
            known = sorted(stopwordsiso.langs())
            raise OptionError(
                f"no stop words for {language!r}: there are {', '.join(known)}{did_you_mean(language, known)}"
            )
        words |= stopwordsiso.stopwords(language)
    return frozenset(words)


def stems(words: Sequence[str], language: str) -> list[str]:
    """Each word's stem by the Snowball algorithm of a language: `stems(["running"], "english")` is `["run"]`."""
    import snowballstemmer

    known = sorted(snowballstemmer.algorithms())
    if language not in known:
        raise OptionError(f"no stemmer for {language!r}: there are {', '.join(known)}{did_you_mean(language, known)}")
    return snowballstemmer.stemmer(language).stemWords(list(words))
