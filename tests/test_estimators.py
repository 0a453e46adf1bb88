"""The estimators as scikit-learn sees them: its own checks, tags that are true, pipelines, searches, copies."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import base
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks, get_tags

from gatework import Answerer, Forecaster, SequenceClassifier, SequenceTagger, TextClassifier, TextGenerator
from gatework.errors import DataError
from gatework.tasks.estimator import METHODS, Estimator

SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 4}
TEXTS = [f"word{i} {'up' if i % 2 else 'down'}" for i in range(24)]
clone: Callable[..., Any] = base.clone
LABELS = ["up" if i % 2 else "down" for i in range(24)]
WAVES = np.random.default_rng(0).normal(size=(24, 7)) + np.arange(24)[:, None] % 2
DAYS = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=90), "y": np.sin(np.arange(90.0)) + 2})

MADE: list[Estimator] = [
    TextClassifier(**SMALL),
    SequenceClassifier(**SMALL),
    TextGenerator(**SMALL),
    Forecaster(**SMALL, horizon=3, windows=20, classical="none"),
    SequenceTagger(**SMALL),
    Answerer(**SMALL),
]
NAMED = pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)

# scikit-learn's checks that do without data, which it makes for tables of numbers alone.
WITHOUT_DATA = [
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
]
# All others run on SequenceClassifier, which reads a table as a sequence of one channel in each row, but for these.
LEFT_OUT = {
    "check_n_features_in": "a sequence may be of any length, so there is no number of features",
    "check_n_features_in_after_fitting": "the same",
    "check_classifiers_train": "the same: it ends with rows of another length, which are answered here",
    "check_dtype_object": "what is no number is a DataError, which is a ValueError, and here a TypeError is expected",
    "check_supervised_y_2d": "labels [n, 1] are read as [n] without a warning: nothing is lost",
    "check_fit2d_1sample": "refused, in words that do not hold scikit-learn's",
    "check_fit2d_predict1d": "the same",
}


@pytest.mark.parametrize("check", WITHOUT_DATA, ids=lambda check: check.__name__)
@NAMED
def test_the_checks_that_need_no_data(made: Estimator, check: Any) -> None:
    check(type(made).__name__, made)


@pytest.mark.filterwarnings("ignore")
@estimator_checks.parametrize_with_checks(
    [SequenceClassifier(**SMALL)],
    expected_failed_checks=lambda made: LEFT_OUT,
    xfail_strict=True,  # what passes is not left out
)
def test_scikit_learns_checks_on_tables_of_numbers(estimator: Any, check: Any) -> None:
    check(estimator)


def test_tags_say_what_is_read() -> None:
    read = {type(made): {name for name, yes in asdict(get_tags(made).input_tags).items() if yes} for made in MADE}
    assert read[TextClassifier] == read[TextGenerator] == read[SequenceTagger] == {"string", "one_d_array"}
    assert read[SequenceClassifier] == {"two_d_array", "three_d_array"} and not read[Forecaster]
    assert read[Answerer] == {"dict"}
    assert get_tags(SequenceClassifier(missing="interpolate")).input_tags.allow_nan
    kinds = [get_tags(made).estimator_type for made in MADE]
    assert kinds == ["classifier", "classifier", None, None, None, None]


@NAMED
def test_no_option_looks_like_a_method(made: Estimator) -> None:
    options = set(made.get_params())
    methods = {name for name in options if callable(getattr(type(made), name, None))}
    known = {"fit", "predict", "transform", "score", "fit_transform", "decision_function", "predict_proba"}
    assert not methods and options & known <= METHODS
    assert not any(hasattr(made, name) for name in METHODS)


def test_an_option_called_transform_is_set_in_every_way() -> None:
    made = Forecaster(transform="log")
    assert "transform" in inspect.signature(Forecaster).parameters and repr(made) == "Forecaster(transform='log')"
    assert clone(made).get_params()["transform"] == "log" and vars(made._options())["transform"] == "log"
    assert made.set_params(transform="difference").get_params()["transform"] == "difference"
    with pytest.raises(ValueError, match="Invalid parameter 'transforms'"):
        made.set_params(transforms="log")


def test_pipelines_searches_and_folds_of_classifiers() -> None:
    trim = FunctionTransformer(lambda texts: [text.strip() for text in texts])
    piped = make_pipeline(trim, TextClassifier(**SMALL)).fit(TEXTS, LABELS)
    assert list(piped.classes_) == ["down", "up"] and piped.predict_proba([" up "]).shape == (1, 2)
    search = GridSearchCV(TextClassifier(**SMALL), {"hidden_size": [2, 3]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_estimator_.get_params()["hidden_size"] in (2, 3)
    scores = cross_val_score(SequenceClassifier(**SMALL), WAVES, LABELS, cv=3, scoring="neg_log_loss")
    assert scores.shape == (3,) and np.isfinite(scores).all()


def test_folds_of_writers_and_forecasts() -> None:
    scores = cross_val_score(TextGenerator(**SMALL), np.array([text * 40 for text in TEXTS]), cv=2)
    assert np.isfinite(scores).all()
    folds = TimeSeriesSplit(2, test_size=9)
    search = GridSearchCV(clone(MADE[3]), {"transform": ["none", "log"]}, cv=folds).fit(DAYS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.best_estimator_.predict()) == 3


@pytest.mark.parametrize(("made", "X"), [(MADE[0], TEXTS), (MADE[1], WAVES), (MADE[1], list(WAVES))])
def test_arrays_without_labels_are_refused(made: Any, X: Any) -> None:
    with pytest.raises(DataError, match="requires y to be passed, but the target y is None: fit"):
        clone(made).fit(X)


class Tensor:
    """An array that only says how to become one of numpy's."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values.astype(dtype) if dtype is not None else self.values


def test_what_becomes_an_array_is_read_as_one() -> None:
    fitted = clone(MADE[1]).fit(Tensor(WAVES), Tensor(LABELS))
    assert fitted.predict(Tensor(WAVES)).shape == (24,)
    fitted = clone(MADE[0]).fit(Tensor(TEXTS), LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted.predict(Tensor(TEXTS)).tolist() == fitted.predict(TEXTS).tolist()
