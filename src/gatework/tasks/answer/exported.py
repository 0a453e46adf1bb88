"""A trained answerer as data: the readings of stories and the writer's step as nets, both vocabularies as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatework.networks.heads import linear_in_net
from gatework.networks.states import begun_in_net
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder, Net
from gatework.runtime.net.builder import Value
from gatework.runtime.saved import Layer
from gatework.tasks.answer.model import Answering, SentenceVectors

if TYPE_CHECKING:
    from gatework.tasks.answer.task import Answer


def exported(task: Answer, model: Answering) -> Exported:
    """Nets "readings", from stories and questions to the writer's states, and "step", of the writer."""
    b, layers = Builder(), model.decoder.encoder.entries
    readings = Readings(b, model)
    last = Builder(beside=b)
    log_p, _ = model.decoder.in_net(last, layers, last.input("last", ("B",), "int64"))
    last.output("log_p", log_p)
    step = last.net()
    nets = {"readings": readings.net(layers, list(step.states)), "step": step}
    options, codecs = task.options, task.codecs
    settings = {
        "fields": {"story": options.story, "question": options.question},
        "memory": options.memory,
        "longest": codecs.longest,
    }
    texts = {"words": codecs.words.to_json(), "answers": codecs.answers.to_json()}
    return Exported("choices", settings, nets, b.arrays, b.stacks, texts)


class Readings:
    """The net of `Answering.read`: U different texts of T words, and B questions about S sentences at most."""

    def __init__(self, b: Builder, model: Answering):
        self.b, self.model = b, model
        self.lengths = b.input("lengths", ("B",), "int64")

    def net(self, layers: list[Layer], names: list[str]) -> Net:
        """Its outputs are the writer's states, by their names in its step, and what each reading "looked" at."""
        b, model = self.b, self.model
        vectors = sentences_in_net(b, model.sentences)
        placed = b.gather(b.array("places", model.places.weight), b.input("places", ("S", "B"), "int64"))
        told = b.add(b.gather(vectors, b.input("story", ("S", "B"), "int64")), placed)
        query = self._part(b.gather(vectors, b.input("questions", ("B",), "int64")), 0)
        query, looked = self._read(told, query)
        start = begun_in_net(b, layers, linear_in_net(model.bridge, b, "bridge", query))
        for name, value in zip(names, start, strict=True):
            b.output(name, value)
        b.output("looked", looked)
        return b.net()

    def _read(self, told: Value, query: Value) -> tuple[Value, Value]:
        """The query after all readings, and the weights (B, hops, S) of each."""
        b, controller = self.b, self.model.controller.entries
        states, looked = begun_in_net(b, controller, query), []
        for hop in range(self.model.hops):
            weights = self.model.attention.in_net(b, b.expand(query, axis=1), self._part(told, hop), self.lengths)
            context = b.squeeze(b.attended(weights, self._part(told, hop + 1)), axis=1)
            output, states = b.cell(controller, context, states)
            query = b.add(b.add(query, context), output)
            looked.append(weights)
        return query, b.concat(*looked, axis=1)

    def _part(self, vectors: Value, number: int) -> Value:
        """One of the hops + 1 vectors that lie side by side."""
        size = self.model.bridge.in_features
        return self.b.piece(vectors, start=number * size, stop=(number + 1) * size)


def sentences_in_net(b: Builder, model: SentenceVectors) -> Value:
    """Vectors (U, (hops + 1) H) of texts. A word's weight (1 - p) - u (1 - 2p) at place p is a sum of two, whose first
    factors are inputs that are 0 beyond a text's end."""
    vectors = model.words.in_net(b, b.input("words", ("T", "U"), "int64"))
    if model.encoder is None:
        near, far = (b.weighed(vectors, b.input(name, ("T", "U"))) for name in ("near", "far"))
        return b.sub(near, b.mul(far, b.array("unit", model.unit)))
    layers = model.encoder.entries
    _, last = b.recurrent(layers, vectors, b.input("sizes", ("U",), "int64"))
    top, output = len(layers) - 1, layers[-1].graph.states[0].name
    ends = b.concat(*(last[f"{top}.{d}.{output}"] for d in range(2)))
    return linear_in_net(model.mapped, b, "mapped", ends)
