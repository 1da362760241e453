"""Memory is flat: a layer ten times as large needs no more of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.builder import Builder
from support.contexts import MakeContext
from support.registry import LoopbackRegistry

MEBIBYTE = 1 << 20


def _write(path: Path, size: int) -> None:
    """Half of it random, half of it not, so that the compressor has something to do."""
    with open(path, "wb") as file:
        for _ in range(size // MEBIBYTE):
            file.write(os.urandom(MEBIBYTE // 2) + b"builder\n" * (MEBIBYTE // 16))


@pytest.mark.large
@pytest.mark.timeout(900)
@pytest.mark.parametrize("instruction", ["COPY data /", "RUN cat /dev/urandom | head -c SIZE > /data"])
def test_a_large_layer_needs_no_more_memory(
    builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
    instruction: str,
) -> None:
    peaks = {}
    for mebibytes in (100, 1000):
        dockerfile = f"FROM {busybox['oci']}\n{instruction.replace('SIZE', str(mebibytes * MEBIBYTE))}\n"
        context = make_context({"Dockerfile": dockerfile})
        if instruction.startswith("COPY"):
            _write(context / "data", mebibytes * MEBIBYTE)
        destination = f"--destination={registry.reference(repository)}:{mebibytes}"
        outcome = builder.run(*builder.build_arguments(context), destination, timeout=400, peak=True).ok()
        peaks[mebibytes] = outcome.peak_kib / 1024
    assert 20 < peaks[1000] < 200, peaks
    assert abs(peaks[1000] - peaks[100]) < 20, peaks
