"""Tag: a label for each word, character or residue, and for the whole sentence.

    from gatework import SequenceTagger
    model = SequenceTagger(epochs=5).fit(sentences, tags)        # lists of tokens, lists of as many tags
    model.predict([["Ada", "slept"]])                            # [["B-PER", "O"]]

Which file to open: options.py (every choice), reading.py (sources), schemes.py (IOB1, IOB2, BIOES), codecs.py (words,
characters, tags as numbers), linear.py (the linear scores beside the network), model.py (the network), answers.py,
measures.py, baselines.py, task.py (how they make a job), sections.py and page.py (the report), explained.py,
estimator.py (scikit-learn's shape).
"""

from __future__ import annotations

from gatework.tasks.tag.estimator import SequenceTagger
from gatework.tasks.tag.options import TagOptions
from gatework.tasks.tag.task import Tag

TASK = Tag

__all__ = ["TASK", "SequenceTagger", "Tag", "TagOptions"]
