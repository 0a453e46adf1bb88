"""The job in the shape of scikit-learn: an estimator of each kind of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags

from gatework.data import readers
from gatework.data.arrays import refuse_kinds
from gatework.data.columns import infer_text
from gatework.data.given import array_of, flat, given_texts
from gatework.data.media import listing
from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.classify.media import ITEMS
from gatework.tasks.classify.task import Classify
from gatework.tasks.estimator import Estimator


class _Classifier(ClassifierMixin, Estimator):
    Task = Classify
    _kind = "texts"
    _values = "text"

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {**super()._defaults(), "kind": cls._kind}

    def fit(self, X: Source, y: Sequence | np.ndarray | None = None) -> Self:
        """Learns from inputs X [n] and labels y [n]; or from a file or frame X with a column of labels (y None).

        None, NaN, NaT and pandas' NA among y are rows without a label; see `bad_labels`.
        """
        if y is None:
            if isinstance(X := rows_of(X), list | tuple | np.ndarray):
                raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None: fit(X, y)")
            return self._fit(X)
        values, labels = self._inputs(X), flat(y, "label")
        if self._kind == "texts" and len(values) != len(labels):
            raise DataError(f"X has {len(values)} rows and y has {len(labels)}; give one label a row")
        return self._fit({self._values: values, "label": labels})

    def _inputs(self, X: Source) -> Any:
        """The inputs of a frame or an iterator as a column, where labels are given beside them."""
        return rows_of(X)

    @property
    def classes_(self) -> np.ndarray:
        """The labels, in the type that y had; the order of `predict_proba`'s columns."""
        return np.array(self._codecs().labels.typed())

    def _codecs(self) -> Any:
        return self._fitted().task.codecs  # type: ignore[attr-defined]

    def _judge(self, X: Source) -> tuple[np.ndarray, np.ndarray]:
        trained = self._fitted()
        return trained.task.probabilities(trained.model, rows_of(X))  # type: ignore[attr-defined]

    def predict_proba(self, X: Source) -> np.ndarray:
        """Probabilities [n, K]."""
        return self._judge(X)[0]

    def predict(self, X: Source) -> np.ndarray:
        """Labels [n]."""
        return self.classes_[self._judge(X)[1]]

    def score(self, X: Source, y: Sequence | np.ndarray | None = None, sample_weight: Any = None) -> float:
        """Accuracy on inputs and labels, or on a file or frame that has both (y None)."""
        if y is None:
            return self._fitted().evaluate(X)["accuracy"]
        right = self.predict(X) == np.asarray(flat(y, "label"))
        return float(np.average(right, weights=sample_weight))


def rows_of(X: Source) -> Source:
    """An iterator as a list, what can become an array as one; anything else as it is."""
    return list(X) if isinstance(X, Iterator) else array_of(X)


class TextClassifier(_Classifier):
    """Classifies texts.

        model = TextClassifier(epochs=5).fit(texts, labels)
        model.predict_proba(["a stirring, funny film"])          # (1, K)

    The parameters are the options of the job (`gatework train classify --help`). X is a list of n texts; or a path or
    frame that holds the labels too. `clone`, `cross_val_score` and grid searches work.
    """

    _reads = ("string", "one_d_array")

    def _inputs(self, X: Source) -> Any:
        if isinstance(X, str | Path):
            raise DataError(f"X is {str(X)[:60]!r} and y is given: pass a list of texts, or the file alone: fit(path)")
        refuse_kinds(X)
        if isinstance(X, Mapping) or hasattr(X, "columns"):
            table = readers.read_table(X)
            return table.strings(infer_text(table, self.text))  # pyright: ignore[reportAttributeAccessIssue]
        return given_texts(X)


class SequenceClassifier(_Classifier):
    """Classifies numeric sequences of several channels and different lengths.

        waves = [np.sin(np.arange(20 + n)[:, None] * [1, 2] / (2 + n % 2)) for n in range(40)]    # [T, C], T varies
        model = SequenceClassifier(hidden_size=64).fit(waves, ["slow", "fast"] * 20)
        model.predict([waves[0][:9]])                            # (1,)

    X is a list of n arrays [T, C] (or [T]), or one array [n, T, C] ([n, C, T], as aeon and sktime have it, with
    channels="first"); a frame with a row a sequence, or one of sktime's; or a path to a .ts or csv file with labels.
    """

    _kind = "sequences"
    _values = "values"
    _reads = ("two_d_array", "three_d_array")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.get_params()["missing"] == "interpolate"
        return tags


class _MediaClassifier(_Classifier):
    """What is read from files or arrays: see `data.media`."""

    def _inputs(self, X: Source) -> Any:
        """The items alone: of a frame or a mapping those of its one column of files or arrays."""
        listed = listing.read(rows_of(X), kind=ITEMS[self._kind])
        return listed.items


class SoundClassifier(_MediaClassifier):
    """Classifies recordings.

        clips = [np.sin(np.arange(4_000 + 200 * n) * (0.2 + n % 2)) for n in range(40)]           # samples, -1 to 1
        model = SoundClassifier(rate=8_000).fit(clips, ["low", "high"] * 20)
        model.predict(["call.wav"])                              # (1,)

    X is a list of n arrays of samples [T], of pairs (array, its rate), or of paths; or a table or folder of files that
    holds the labels too: `fit("clips.csv")`.
    """

    _kind = "sounds"
    _values = "audio"


class PictureClassifier(_MediaClassifier):
    """Classifies pictures.

        pictures = np.random.default_rng(0).integers(0, 255, (40, 16, 16)) // (1 + np.arange(40) % 2)[:, None, None]
        model = PictureClassifier().fit(pictures, ["bright", "dark"] * 20)
        model.predict(["a.png"])                                 # (1,)

    X is an array [n, H, W] or [n, H, W, C], or a list of arrays or paths; or a table or folder of files that holds the
    labels too: `fit("pictures.csv")`.
    """

    _kind = "pictures"
    _values = "image"


class FilmClassifier(_MediaClassifier):
    """Classifies films.

        square = np.pad(np.full((4, 4), 255), (0, 12))
        ways = [(n % 2, 1 - n % 2) for n in range(40)]           # the axis that it moves along, and the other
        films = [[np.roll(square, (step, n // 2), way) for step in range(8)] for n, way in enumerate(ways)]
        model = FilmClassifier().fit(np.array(films), ["down", "right"] * 20)

    X is a list of n arrays [T, H, W] or [T, H, W, C], or of paths (gif, mp4, folders of frames); or a table or folder
    of files that holds the labels too: `fit("films.csv")`.
    """

    _kind = "films"
    _values = "video"
