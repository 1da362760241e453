"""``builder warm``, and builds that take their base images from what it has fetched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.builder import Builder
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.listing import diff_listings, list_archive
from support.registry import LoopbackRegistry
from support.stalling_proxy import StallingProxy


def test_bases_of_a_dockerfile_serve_a_build_that_may_only_read_them(
    root_builder: Builder,
    user_builder: Builder,
    make_context: MakeContext,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    scratch: Path,
) -> None:
    """Warmed by root, used by somebody else; by tag and by digest, for FROM and for COPY --from."""
    cache = scratch / "cache"
    with StallingProxy(registry.port, "download") as proxy:
        by_tag = busybox["oci"].replace(registry.host, proxy.host)
        digest = registry.digest("base/busybox", "docker")
        by_digest = f"{proxy.host}/base/busybox@{digest}"
        lines = [
            "ARG BASE",
            "FROM ${BASE}",
            f"COPY --from={by_digest} /bin/busybox /copy",
            "RUN test -s /copy && touch /x",
        ]
        context = make_context({"Dockerfile": "\n".join(lines) + "\n"})
        flags = ("--build-arg", f"BASE={by_tag}", "--insecure-pull")
        warmed = root_builder.run("warm", "-d", context / "Dockerfile", "-c", cache, *flags).ok()
        assert warmed.stderr.count("\nwarmed ") == 2, warmed.output
        before = proxy.passed
        archive = scratch / "image.tar"
        with nothing_left(user_builder.state, context, cache):
            user_builder.build(context, *flags, "--no-push", f"--tar-path={archive}", f"--cache-dir={cache}").ok()
        assert proxy.passed - before < 3000, "an answer to a HEAD, and no more"
        direct_lines = (context / "Dockerfile").read_text().replace(proxy.host, registry.host)
    plain = scratch / "plain.tar"
    direct = ("--build-arg", f"BASE={busybox['oci']}")
    (context / "Dockerfile").write_text(direct_lines)
    root_builder.build(context, *direct, "--no-push", f"--tar-path={plain}").ok()
    assert diff_listings(list_archive(plain).files, list_archive(archive).files) == ""


def test_a_base_by_digest_needs_no_registry(
    user_builder: Builder,
    make_context: MakeContext,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    scratch: Path,
) -> None:
    cache = scratch / "cache"
    with StallingProxy(registry.port, "download") as proxy:
        base = f"{proxy.host}/base/busybox@{registry.digest('base/busybox', 'index')}"
        user_builder.run("warm", "-i", base, "-c", cache).ok()
    context = make_context({"Dockerfile": f"FROM {base}\nRUN echo built > /built\n"})
    archive = scratch / "image.tar"
    user_builder.build(context, "--no-push", f"--tar-path={archive}", f"--cache-dir={cache}").ok()
    assert list_archive(archive).text("built") == "built\n"


def test_a_broken_entry_is_told_and_does_no_harm_and_is_mended(
    user_builder: Builder, make_context: MakeContext, busybox: dict[str, str], scratch: Path
) -> None:
    cache = scratch / "cache"
    warm = ("warm", "-i", busybox["oci"], "-c", cache)
    user_builder.run(*warm).ok()
    largest = max((cache / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN true\n"})
    outcome = user_builder.build(context, "--no-push", f"--cache-dir={cache}").ok()
    assert "wrong content" in outcome.stderr
    assert "it is fetched from the registry" in outcome.stderr
    assert "1 of " in user_builder.run(*warm).ok().stderr
    assert "all of it was there" in user_builder.run(*warm).ok().stderr


def test_one_image_that_cannot_be_had_does_not_keep_the_others_from_it(
    user_builder: Builder, registry: LoopbackRegistry, busybox: dict[str, str], scratch: Path
) -> None:
    missing = registry.reference("base/missing:1")
    cache = scratch / "cache"
    outcome = user_builder.run("warm", "-i", missing, "-i", busybox["oci"], "-c", cache).ok()
    assert f"warning: {missing} for " in outcome.stderr
    assert "warmed " in outcome.stderr
    user_builder.run("warm", "-i", missing, "-c", cache).failed("the image does not exist")


def test_other_tools_read_the_layout(user_builder: Builder, busybox: dict[str, str], scratch: Path) -> None:
    cache = scratch / "cache"
    user_builder.run("warm", "-i", busybox["oci"], "-c", cache).ok()
    subprocess.run(["skopeo", "copy", f"oci:{cache}:{busybox['oci']}", f"dir:{scratch}/copy"], check=True)
    assert (scratch / "copy/manifest.json").exists()


def test_a_directory_that_cannot_be_written(user_builder: Builder, busybox: dict[str, str], as_root: None) -> None:
    assert os.getuid() == 0
    user_builder.run("warm", "-i", busybox["oci"], "-c", "/proc/cache").failed("cannot write to /proc/cache")
