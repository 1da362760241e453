"""The executor: stages side by side, as far as they do not need one another."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from builder.dockerfile.stages import StageBase
from builder.engine.build_state import BuildState
from builder.engine.plan import PlannedStage
from builder.engine.prefetch import prefetch
from builder.engine.stage import Stage
from builder.engine.stage_builder import StageBuilder
from builder.errors import Interrupted

_SECONDS_TO_STOP = 2.0


def build_stages(states: Sequence[BuildState]) -> list[Stage]:
    """Build all stages of the plans, one for each platform, and return those that are exported.

    Their layers may still be on their way. What plans share is built by the first that has it.

    Raises what the first stage that failed raised; the others are stopped, commands and all. An exception that a
    signal handler raises in the waiting thread stops them too.
    """
    for state in states if not states[0].caching.asked else ():
        services = state.services
        prefetch(state.plan, unpack=services.isolation is not None, in_turn=services.container is not None)
    execution = _Execution(states)
    try:
        return execution.run()
    except BaseException as error:
        if isinstance(error, Interrupted):
            states[0].given_up.set()
        execution.stop()
        raise


class _Execution:
    def __init__(self, states: Sequence[BuildState]) -> None:
        self._states, self._services, self._stopped = states, states[0].services, states[0].stopped
        self._tasks = [
            (state, stage) for state in states for stage in state.plan.stages if stage.index not in state.plan.borrowed
        ]
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        # Daemons: a thread that hangs in a system call must not keep an interrupted build alive.
        if self._services.container is not None:
            self._threads = [threading.Thread(target=self._run_in_turn, name="stages", daemon=True)]
            return
        self._threads = [
            threading.Thread(target=self._run, args=task, name=f"stage-{task[1].index}", daemon=True)
            for task in self._tasks
        ]

    def run(self) -> list[Stage]:
        for thread in self._threads:
            thread.start()
        for result in [result for state in self._states for result in state.results.values()]:
            try:
                result.result()
            except Interrupted:
                raise
            except Exception as error:
                raise self._failure or error from None
        return [state.results[state.plan.target].result() for state in self._states]

    def stop(self) -> None:
        """End what is running, and wait for it, though not long: a thread may hang on a network."""
        self._stopped.set()
        if self._services.isolation is not None:
            self._services.isolation.cancel_all()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run_in_turn(self) -> None:
        """Run the stages one after another: each replaces the files of the one before, whose layers must be written."""
        for state, planned in self._tasks:
            self._run(state, planned)

    def _run(self, state: BuildState, planned: PlannedStage) -> None:
        result: Future[Stage] = state.results[planned.index]
        try:
            below = None
            if isinstance(planned.base, StageBase):
                below = state.results[planned.base.index].result()
            stage = StageBuilder(state, planned, below).build()
            if self._services.container is not None and (state, planned) != self._tasks[-1]:
                for layer in stage.layers:
                    layer.result()
            result.set_result(stage)
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error
            self._stopped.set()
            if self._services.isolation is not None:
                self._services.isolation.cancel_all()
            result.set_exception(error)
