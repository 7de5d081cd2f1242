"""What is counted while a server runs, in the text form of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Counters:
    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()  # of this server alone: there may be several in a process
        self.requests = Counter("ftlab_requests", "Requests, by what was answered", ["path", "status"], registry=own)
        self.seconds = Histogram(
            "ftlab_predict_seconds", "From the head of a request to its answer", buckets=SECONDS, registry=own
        )
        self.inputs = Counter("ftlab_inputs", "Inputs that were predicted", registry=own)
        self.batches = Histogram("ftlab_batch_inputs", "Inputs of a pass", buckets=SIZES, registry=own)
        self.running = Gauge("ftlab_running_requests", "Predictions that are being answered", registry=own)

    def text(self) -> bytes:
        return generate_latest(self.registry)
