"""Which extra of the package brings which library: turns "no module named torch" into the command to type."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec

from gatework.errors import MissingExtraError

_KERAS = ("keras", "h5py")
_BIOLOGY = ("Bio",)
_TRANSLATE = ("sacrebleu", "rapidfuzz")
_BENCH = ("onnxruntime",)
_EXPORT = ("onnx",)
_SPEECH = ("soundfile", "jiwer")
_PICTURES = ("PIL", "av")
_POSTGRES = ("psycopg2",)
_LOGGERS = {"mlflow": ("mlflow",), "wandb": ("wandb",)}
_SERVE = ("fastapi", "starlette", "uvicorn", "websockets", "prometheus_client")
DEMO = (  # of the extra `demo`
    *("torch", "polars", "sklearn", "scipy", "jinja2", "matplotlib", "sacrebleu", "rapidfuzz"),
    *("soundfile", "jiwer", "PIL"),
)
_TRAIN = (
    "torch",
    "polars",
    "pandas",
    "pyarrow",
    "tokenizers",
    "snowballstemmer",
    "stopwordsiso",
    "sklearn",
    "scipy",
    "statsforecast",
    "jinja2",
    "matplotlib",
    "tensorboard",
    "optuna",
    "captum",
    "fastexcel",
)

EXTRAS: dict[str, str] = {}
for _extra, _packages in {
    "train": _TRAIN,
    "keras": _KERAS,
    "bench": _BENCH,
    "export": _EXPORT,
    "biology": _BIOLOGY,
    "translate": _TRANSLATE,
    "speech": _SPEECH,
    "pictures": _PICTURES,
    "serve": _SERVE,
    "postgres": _POSTGRES,
    **_LOGGERS,
}.items():
    EXTRAS |= dict.fromkeys(_packages, _extra)


def explained(error: ImportError) -> ImportError:
    """The error to raise in place of `error`: a MissingExtraError where an extra brings the missing module.

    try:
        import torch
    except ImportError as error:
        raise explained(error) from error
    """
    package = (error.name or "").partition(".")[0]
    missing = isinstance(error, ModuleNotFoundError) and package in EXTRAS
    return MissingExtraError(package, EXTRAS[package]) if missing else error


def import_bars() -> None:
    """Imports tqdm before a library does that we use without its bars: in a notebook it may warn of them, in red."""
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.simplefilter("ignore")
        import_module("tqdm.auto")


def installed(package: str) -> bool:
    """Whether a package is there, without importing it."""
    return sys.modules[package] is not None if package in sys.modules else find_spec(package) is not None


def require(packages: Iterable[str], extra: str) -> None:
    """A MissingExtraError where one of the packages is not installed: before anything is written.

    require(("torch", "polars"), "demo")
    """
    for package in packages:
        if not installed(package):
            raise MissingExtraError(package, extra)
