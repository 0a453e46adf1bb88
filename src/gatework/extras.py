"""Which extra of the package brings which library: turns "no module named torch" into the command to type."""

from __future__ import annotations

from gatework.errors import MissingExtraError

_KERAS = ("keras", "h5py")
_BIOLOGY = ("Bio",)
_TRANSLATE = ("sacrebleu", "rapidfuzz")
_BENCH = ("onnxruntime",)
_EXPORT = ("onnx",)
_SPEECH = ("soundfile", "jiwer")
_PICTURES = ("PIL", "av")
_POSTGRES = ("psycopg2",)
_SERVE = ("fastapi", "starlette", "uvicorn", "websockets", "prometheus_client")
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
