"""The executor: stages side by side, as far as they do not need one another."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

from builder.dockerfile.stages import StageBase
from builder.engine.build_state import BuildState
from builder.engine.plan import PlannedStage
from builder.engine.prefetch import prefetch
from builder.engine.stage import Stage
from builder.engine.stage_builder import StageBuilder
from builder.errors import Interrupted

_SECONDS_TO_STOP = 2.0


def build_stages(state: BuildState) -> Stage:
    """Build all stages of the plan and return the exported one; its layers may still be on their way.

    Raises what the first stage that failed raised; the others are stopped, commands and all. An exception that a
    signal handler raises in the waiting thread stops them too.
    """
    prefetch(state.plan, unpack=state.services.overlay or state.services.container is not None)
    execution = _Execution(state)
    try:
        return execution.run()
    except BaseException:
        execution.stop()
        raise


class _Execution:
    def __init__(self, state: BuildState) -> None:
        self._state = state
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        # Daemons: a thread that hangs in a system call must not keep an interrupted build alive.
        if state.services.container is not None:
            self._threads = [threading.Thread(target=self._run_in_turn, name="stages", daemon=True)]
            return
        self._threads = [
            threading.Thread(target=self._run, args=(stage,), name=f"stage-{stage.index}", daemon=True)
            for stage in state.plan.stages
        ]

    def run(self) -> Stage:
        for thread in self._threads:
            thread.start()
        for result in self._state.results.values():
            try:
                result.result()
            except Interrupted:
                raise
            except Exception as error:
                raise self._failure or error from None
        return self._state.results[self._state.plan.target].result()

    def stop(self) -> None:
        """End what is running, and wait for it, though not long: a thread may hang on a network."""
        self._state.stopped.set()
        if self._state.services.isolation is not None:
            self._state.services.isolation.cancel_all()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run_in_turn(self) -> None:
        """Run the stages one after another: each replaces the files of the one before, whose layers must be written."""
        for planned in self._state.plan.stages:
            self._run(planned)

    def _run(self, planned: PlannedStage) -> None:
        result: Future[Stage] = self._state.results[planned.index]
        try:
            below = None
            if isinstance(planned.base, StageBase):
                below = self._state.results[planned.base.index].result()
            stage = StageBuilder(self._state, planned, below).build()
            if self._state.services.container is not None and planned.index != self._state.plan.target:
                for layer in stage.layers:
                    layer.result()
            result.set_result(stage)
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error
            self._state.stopped.set()
            if self._state.services.isolation is not None:
                self._state.services.isolation.cancel_all()
            result.set_exception(error)
