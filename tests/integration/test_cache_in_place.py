"""Caches where commands run in place: in a container of the real Docker Engine."""

from __future__ import annotations

import pytest
from support.in_place import LIST, InShell

pytestmark = pytest.mark.usefixtures("as_root")

STEPS = "FROM BUSYBOX\nRUN echo $((40 + 2)) > /answer\nCOPY Dockerfile /copied\nRUN cat /answer > /again\n"
POISON = """
for blob in /workspace/cache/blobs/sha256/*; do
    if [ "$(head -c 2 "$blob" | od -An -tx1 | tr -d ' ')" = 1f8b ]; then
        dd if=/dev/zero of="$blob" bs="$(stat -c %s "$blob")" count=1 2> /dev/null; echo poisoned
    fi
done
"""


@pytest.mark.exhaustive
def test_a_poisoned_layer_is_built_again(in_shell: InShell) -> None:
    script = f"""{LIST}
    cached="--no-push --cache --cache-copy-layers --cache-repo=oci:/workspace/cache"
    $BUILD $cached || exit 1
    {POISON}
    rm -rf /kaniko/state
    $BUILD -f Dockerfile.more $cached || exit 1
    rm -rf /kaniko/state
    $BUILD -f Dockerfile.more $cached || exit 1
    rm -rf /workspace/cache; list > /workspace/after; diff /workspace/before /workspace/after && echo unchanged
    """
    dockerfiles = {"Dockerfile": STEPS, "Dockerfile.more": STEPS + "RUN test $(cat /again) = 42\n"}
    done = in_shell(script, dockerfiles=dockerfiles).ok()
    assert done.stdout.splitlines() == ["poisoned"] * 3 + ["unchanged"], done.output
    assert done.stderr.count("building again, without what is cached") == 1, done.output
    assert done.stderr.count("CACHED") >= 4, done.output


def test_base_images_and_cache_mounts_in_a_directory_that_is_carried(in_shell: InShell) -> None:
    script = """
    /kaniko/warmer -d /workspace/Dockerfile -c /carried --insecure-pull || exit 1
    for number in 1 2; do
        rm -rf /kaniko/state
        $BUILD --no-push --cache-dir=/carried || exit 1
        cat /carried/mounts/*/*/root/count | wc -l
    done
    """
    dockerfile = "FROM BUSYBOX\nRUN --mount=type=cache,target=/c echo x >> /c/count\n"
    done = in_shell(script, dockerfiles={"Dockerfile": dockerfile}).ok()
    assert done.stdout.split() == ["1", "2"], done.output
