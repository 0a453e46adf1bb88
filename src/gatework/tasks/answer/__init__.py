"""Answer: questions about a story, by several readings of it.

    from gatework import Answerer
    model = Answerer(epochs=30).fit(questions)          # [{"story": [...], "question": "...", "answer": "..."}, ...]
    model.predict([{"story": ["Mary went home."], "question": "Where is Mary?"}])

Which file to open: options.py (every choice), reading.py, babi.py and records.py (sources), stories.py (what was read),
codecs.py (words as numbers), model.py (the network), decoding.py (what it answers), measures.py, baselines.py, task.py
(how they make a job), sections.py and page.py (the report), explained.py, estimator.py (scikit-learn's shape).
"""

from __future__ import annotations

from gatework.tasks.answer.estimator import Answerer
from gatework.tasks.answer.options import AnswerOptions
from gatework.tasks.answer.task import Answer

TASK = Answer

__all__ = ["TASK", "Answer", "AnswerOptions", "Answerer"]
