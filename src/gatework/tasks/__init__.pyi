# Written by `make docs`.
from pathlib import Path
from typing import TYPE_CHECKING

from gatework.tasks.answer.estimator import Answerer as Answerer
from gatework.tasks.caption.estimator import Captioner as Captioner
from gatework.tasks.classify.estimator import FilmClassifier as FilmClassifier
from gatework.tasks.classify.estimator import PictureClassifier as PictureClassifier
from gatework.tasks.classify.estimator import SequenceClassifier as SequenceClassifier
from gatework.tasks.classify.estimator import SoundClassifier as SoundClassifier
from gatework.tasks.classify.estimator import TextClassifier as TextClassifier
from gatework.tasks.forecast.estimator import Forecaster as Forecaster
from gatework.tasks.generate.estimator import TextGenerator as TextGenerator
from gatework.tasks.speak.estimator import Speaker as Speaker
from gatework.tasks.tag.estimator import SequenceTagger as SequenceTagger
from gatework.tasks.transcribe.estimator import Transcriber as Transcriber
from gatework.tasks.transcribe.estimator import Word as Word
from gatework.tasks.translate.estimator import Looked as Looked
from gatework.tasks.translate.estimator import Translator as Translator

if TYPE_CHECKING:
    from gatework.tasks.base import Task

def homes() -> dict[str, str]: ...
def names() -> list[str]: ...
def get(name: str) -> type[Task]: ...
def working() -> dict[str, type[Task]]: ...
def files(name: str) -> dict[str, Path]: ...
def estimators() -> dict[str, str]: ...
