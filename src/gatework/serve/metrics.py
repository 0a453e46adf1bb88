"""What a server counts, in the form of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gatework.serve.service import Service


class Metrics(Collector):
    """Counts of requests here, of streams and batches where they are kept: they are read when somebody asks."""

    def __init__(self, services: Mapping[str, Service]):
        self.services = services
        self.requests: Counter[tuple[str, int]] = Counter()
        self.registry = CollectorRegistry()
        self.seconds = Histogram("gatework_request_seconds", "Time of a request.", ["address"], registry=self.registry)
        self.registry.register(self)

    def done(self, address: str, code: int, seconds: float) -> None:
        self.requests[address, code] += 1
        self.seconds.labels(address).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "gatework_requests", "Requests by address and status.", labels=["address", "code"]
        )
        for (address, code), count in self.requests.items():
            requests.add_metric([address, str(code)], count)
        yield requests
        counts = {name: service.counts() for name, service in self.services.items()}
        for what, text, kind in _KINDS:
            family = kind(f"gatework_{what}", text, labels=["model"])
            for name in counts:
                if what in counts[name]:
                    family.add_metric([name], counts[name][what])
            yield family
        refused = CounterMetricFamily("gatework_refused", "What was refused, by limit.", labels=["model", "limit"])
        for name, service in self.services.items():
            for why, count in service.refused().items():
                refused.add_metric([name, why], count)
        yield refused


_KINDS = (
    ("streams", "Streams that are open.", GaugeMetricFamily),
    ("streams_connected", "Streams that a connection holds.", GaugeMetricFamily),
    ("inputs_waiting", "Inputs of streams that wait for their step.", GaugeMetricFamily),
    ("state_bytes", "Memory of the states.", GaugeMetricFamily),
    ("steps", "Steps done.", CounterMetricFamily),
    ("ticks", "Batches of steps.", CounterMetricFamily),
    ("rows_waiting", "Rows that wait for their predictions.", GaugeMetricFamily),
    ("rows", "Rows predicted.", CounterMetricFamily),
    ("batches", "Batches of rows.", CounterMetricFamily),
    ("writers", "Texts that are being generated.", GaugeMetricFamily),
)
