"""What the driver orders of the trials that run, asked for by each of them twice a second.

The actor that holds it lives on the driver's machine: anywhere else it would be lost with a worker, and every trial with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Order = Literal["go on", "stop", "leave", "fail"]
_ASK_SECONDS = 0.5


class StopFlag:
    """The driver's side: end all trials, end one, or have those leave whose machine is being taken away. Each saves first.

    why: the reason of a stop that nobody asked for.
    """

    def __init__(self) -> None:
        class Held:
            def __init__(self) -> None:
                self.stopped, self.failures, self.leaving = False, dict[str, Any](), set[str]()
                self.nodes = dict[str, set[str]]()

            def stop(self) -> None:
                self.stopped = True

            def fail(self, key: str, failure: Mapping[str, Any]) -> None:
                self.failures[key] = failure

            def forget(self) -> None:
                self.failures = {}

            def drain(self, nodes: Collection[str]) -> None:
                self.leaving = set(nodes)

            def ask(self, key: str, nodes: Collection[str]) -> tuple[Order, Any]:
                self.nodes[key] = set(nodes)
                if self.stopped:
                    return "stop", None
                if key in self.failures:
                    return "fail", self.failures[key]
                return ("leave" if self.leaving & set(nodes) else "go on"), None

            def where(self, key: str) -> set[str]:
                return self.nodes.get(key, set())

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.actor = ray.remote(num_cpus=0, scheduling_strategy=here)(Held).remote()
        self.is_set, self.why = False, ""

    def set(self, why: str = "") -> None:
        """End all."""
        self.is_set, self.why = True, why
        self.actor.stop.remote()

    def fail(self, key: str, failure: Mapping[str, Any]) -> None:
        """End this trial for good, now or where it is started again."""
        self.actor.fail.remote(key, dict(failure))

    def forget(self) -> None:
        """Trials that were ended for good may be started again, with other resources."""
        self.actor.forget.remote()

    def drain(self, nodes: Collection[str]) -> None:
        """Have trials leave these machines."""
        self.actor.drain.remote(list(nodes))

    def where(self, key: str) -> frozenset[str]:
        """Ids of the machines on which a trial was last heard of."""
        return frozenset(ray.get(self.actor.where.remote(key)))


class Orders:
    """A trial's side. Asked often, it asks the driver now and then; what ends a trial is remembered."""

    def __init__(
        self, actor: Any, key: str, nodes: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.actor, self.key, self.nodes, self.clock = actor, key, list(nodes), clock
        self.order: Order = "go on"
        self.failure: dict[str, Any] = {}
        self._at = float("-inf")

    def ends(self) -> bool:
        """Whether the trial is to save and end."""
        if self.order == "go on" and self.clock() - self._at > _ASK_SECONDS:
            self.order, failure = ray.get(self.actor.ask.remote(self.key, self.nodes))
            self.failure, self._at = failure or {}, self.clock()
        return self.order != "go on"
