"""A stage in progress: when its base is read, what is written where, its history; and the image that it becomes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from trees import entry, specs_of, tree_of

from builder.digest import Digest
from builder.engine.assemble import assembled
from builder.engine.layers import Layer, completed, not_after
from builder.engine.request import BuildRequest, ImageFormat
from builder.engine.scope import Scope
from builder.engine.stage import Stage, complete_history, dated, initial_config, rfc3339, scratch_image
from builder.errors import LayerError
from builder.image.config import DEFAULT_PATH, ContainerConfig, History, ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.media_types import DOCKER_LAYER_GZIP, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Family
from builder.image.platform import Platform
from builder.layer.changes import Changes
from builder.rootfs.base import PlainDirectory
from builder.rootfs.tree import FileTree
from builder.storage.blob import Blob, MemoryBlob

PLATFORM = Platform("linux", "amd64")


class RecordedRootFs:
    """A RootFs that notes what it is given."""

    frozen = True

    def __init__(self) -> None:
        self.added: list[Changes] = []
        self.closed = 0
        self.forked_last: bool | None = None

    def add(self, changes: Changes) -> None:
        self.added.append(changes)

    def prepare(self) -> PlainDirectory:
        return PlainDirectory(path="/")

    def snapshot(self, tree: FileTree) -> Changes:
        return {}

    def fork(self, tree: FileTree, *, last: bool = False) -> RecordedRootFs:
        self.forked_last = last
        return RecordedRootFs()

    def close(self) -> None:
        self.closed += 1


class RecordedBase:
    """A base that notes how often it is asked."""

    def __init__(self) -> None:
        self.trees = self.rootfses = 0
        self.started: list[bool] = []
        self.made = RecordedRootFs()

    def tree(self) -> FileTree:
        self.trees += 1
        return tree_of({"etc": "d700", "etc/old": "f"})

    def rootfs(self) -> RecordedRootFs:
        self.rootfses += 1
        return self.made

    def start(self, *, unpack: bool) -> None:
        self.started.append(unpack)

    def image_files(self) -> None:
        return None


def make_stage(base: RecordedBase | None = None, **fields: object) -> Stage:
    image = ImageConfig(platform=PLATFORM, config=ContainerConfig())
    stage = Stage(
        name="stage",
        platform=PLATFORM,
        family=Family.OCI,
        image=image,
        config=image.config,
        scope=Scope({}, {}),
        base=base or RecordedBase(),
        created=1_700_000_000,
    )
    for name, value in fields.items():
        setattr(stage, name, value)
    return stage


def test_the_base_is_read_when_it_is_first_needed_and_once() -> None:
    base = RecordedBase()
    stage = make_stage(base)
    stage.configure("USER app", user="app")
    linked: Changes = {"opt": entry("d"), "opt/f": entry("f")}
    stage.linked(linked)
    assert (base.trees, base.rootfses) == (0, 0)
    assert list(specs_of(stage.tree)) == ["etc", "etc/old", "opt", "opt/f"]
    stage.fork_tree()
    assert (base.trees, base.rootfses) == (1, 0)
    assert stage.rootfs is stage.rootfs is base.made
    assert (base.trees, base.rootfses) == (1, 1)
    assert base.made.added == [linked]


def test_changes_get_their_parents_and_reach_the_files() -> None:
    base = RecordedBase()
    stage = make_stage(base)
    stage.tree.put("etc/new", entry("f"))
    complete = stage.changed({"etc/new": entry("f")})
    assert complete == {"etc": entry("d700"), "etc/new": entry("f")}
    assert stage.rootfs.added == [complete]
    assert stage.changed({}) == {}
    stage.linked({"later": entry("f")})
    assert stage.tree.entry("later") == entry("f")
    assert base.made.added[-1] == {"later": entry("f")}


def test_forks_are_separate() -> None:
    stage = make_stage()
    fork = stage.fork_tree()
    fork.put("new", entry("f"))
    assert stage.tree.entry("new") is None
    assert stage.fork_rootfs() is not stage.rootfs


@pytest.mark.parametrize("last", [False, True])
def test_the_files_know_whether_a_fork_is_the_last(last: bool) -> None:
    base = RecordedBase()
    make_stage(base).fork_rootfs(last=last)
    assert base.made.forked_last is last


def test_closing() -> None:
    base = RecordedBase()
    stage = make_stage(base)
    stage.close()
    assert base.rootfses == 0
    assert stage.rootfs is base.made
    stage.close()
    assert base.made.closed == 1


def test_configuring_makes_history() -> None:
    stage = make_stage()
    stage.configure("ENV A=1", env=("A=1",))
    stage.note("COPY a /a # buildkit", empty_layer=False)
    assert stage.config.env == ("A=1",)
    assert [(each.created_by, each.empty_layer, each.created, each.comment) for each in stage.history] == [
        ("ENV A=1", True, "2023-11-14T22:13:20Z", "buildkit.dockerfile.v0"),
        ("COPY a /a # buildkit", False, "2023-11-14T22:13:20Z", "buildkit.dockerfile.v0"),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"), (1_700_000_000, "2023-11-14T22:13:20Z")],
)
def test_times(seconds: int, text: str) -> None:
    assert rfc3339(seconds) == text


def test_what_a_stage_begins_with() -> None:
    assert initial_config(ContainerConfig(env=("A=1",))).env == ("A=1", f"PATH={DEFAULT_PATH}")
    own = ContainerConfig(env=("PATH=/bin", "A=1"), on_build=("RUN x",), user="app")
    assert initial_config(own) == replace(own, on_build=())
    assert scratch_image(PLATFORM) == ImageConfig(platform=PLATFORM, config=ContainerConfig(working_dir="/"))


def _history(*empty: bool) -> tuple[History, ...]:
    return tuple(History(created_by=str(number), empty_layer=each) for number, each in enumerate(empty))


@pytest.mark.parametrize(
    ("history", "layers", "expected"),
    [
        ((), 0, []),
        ((), 2, [False, False]),
        (_history(False, True, False), 2, [False, True, False]),
        (_history(True, False), 3, [True, False, False, False]),
        (_history(False, False, False), 1, [False, True, True]),
        (_history(True), 0, [True]),
    ],
)
def test_the_history_of_a_base_is_made_to_fit_its_layers(
    history: tuple[History, ...], layers: int, expected: list[bool]
) -> None:
    image = ImageConfig(platform=PLATFORM, history=history, diff_ids=(Digest.of(b""),) * layers)
    assert [each.empty_layer for each in complete_history(image)] == expected


def layer(data: bytes, media_type: str = OCI_LAYER_GZIP) -> Layer:
    blob = Blob(descriptor=Descriptor.of(media_type, data), source=MemoryBlob(data))
    return Layer(blob=blob, diff_id=Digest.of(b"unpacked " + data))


def request(**fields: object) -> BuildRequest:
    return BuildRequest(context=Path("/nowhere"), dockerfile=b"", platform=PLATFORM, **fields)


def test_the_image_of_a_stage() -> None:
    layers = [layer(b"one"), layer(b"two")]
    stage = make_stage(
        layers=[completed(each) for each in layers],
        config=ContainerConfig(labels={"a": "stage", "b": "stage"}, user="app"),
    )
    stage.note("one", empty_layer=False)
    stage.note("two", empty_layer=False)
    image = assembled(stage, request(labels={"b": "flag", "c": "flag"}, annotations={"x": "y"}))
    document = json.loads(image.config)
    assert document["config"]["Labels"] == {"a": "stage", "b": "flag", "c": "flag"}
    assert document["created"] == "2023-11-14T22:13:20Z"
    assert document["rootfs"]["diff_ids"] == [str(each.diff_id) for each in layers]
    assert [each["created_by"] for each in document["history"]] == ["one", "two"]
    assert image.manifest.config == Descriptor.of(Family.OCI.config, image.config)
    assert image.manifest.layers == tuple(each.blob.descriptor for each in layers)
    assert image.manifest.annotations == {"x": "y"}
    assert image.layers == tuple(each.blob for each in layers)


@pytest.mark.parametrize(
    ("stage_family", "image_format", "family", "media_types"),
    [
        (Family.OCI, ImageFormat(), Family.OCI, [OCI_LAYER_GZIP, OCI_LAYER_GZIP]),
        (Family.DOCKER, ImageFormat(), Family.DOCKER, [DOCKER_LAYER_GZIP, DOCKER_LAYER_GZIP]),
        (Family.DOCKER, ImageFormat(family=Family.OCI), Family.OCI, [OCI_LAYER_GZIP, OCI_LAYER_GZIP]),
        (Family.OCI, ImageFormat(family=Family.DOCKER), Family.DOCKER, [DOCKER_LAYER_GZIP, DOCKER_LAYER_GZIP]),
        (Family.DOCKER, ImageFormat(compression="zstd"), Family.OCI, [OCI_LAYER_GZIP, OCI_LAYER_GZIP]),
    ],
)
def test_one_family_for_all(
    stage_family: Family, image_format: ImageFormat, family: Family, media_types: list[str]
) -> None:
    layers = [completed(layer(b"1", OCI_LAYER_GZIP)), completed(layer(b"2", DOCKER_LAYER_GZIP))]
    image = assembled(make_stage(family=stage_family, layers=layers), request(format=image_format))
    assert image.manifest.family is family
    assert image.manifest.config.media_type == family.config
    assert [each.media_type for each in image.manifest.layers] == media_types
    assert [each.descriptor.media_type for each in image.layers] == media_types
    assert [each.descriptor.digest for each in image.layers] == [Digest.of(b"1"), Digest.of(b"2")]


def test_zstd_layers_stay_what_they_are() -> None:
    image = assembled(make_stage(layers=[completed(layer(b"1", OCI_LAYER_ZSTD))]), request())
    assert image.manifest.layers[0].media_type == OCI_LAYER_ZSTD


def test_an_error_of_a_layer_comes_out() -> None:
    failed: Future[Layer] = Future()
    failed.set_exception(LayerError("it could not be written"))
    with pytest.raises(LayerError, match="it could not be written"):
        assembled(make_stage(layers=[completed(layer(b"1")), failed]), request())


def test_no_time_after_the_latest() -> None:
    same = entry("f@50>x")
    changes: Changes = {"a": same, "b": same, "c": entry("f@10"), "d": None, "e": entry("f@50>x"), "f": entry("d@-3")}
    clamped = not_after(changes, 20)
    times = {path: each and each.mtime for path, each in clamped.items()}
    assert times == {"a": 20, "b": 20, "c": 10, "d": None, "e": 20, "f": -3}
    assert clamped["a"] is clamped["b"]
    assert clamped["a"] is not clamped["e"]
    assert clamped["c"] is changes["c"]
    assert same.mtime == 50


def test_what_has_been_made_is_not_read_ahead() -> None:
    base = RecordedBase()
    stage = make_stage(base)
    stage.start(unpack=False)
    assert stage.tree
    stage.start(unpack=False)
    stage.start(unpack=True)
    assert stage.rootfs
    stage.start(unpack=True)
    assert base.started == [False, True]


def _dated(entries: Sequence[tuple[bool, int | None]], inherited: int = 0) -> tuple[str, list[str | None]]:
    """The times of a stage's image and history, by its entries: whether each made a layer, and when (None: now)."""
    stage = make_stage(created=100, inherited=inherited)
    for layer, seconds in entries:
        stage.note("x", empty_layer=not layer, seconds=seconds)
    created, history = dated(stage)
    return created, [each.created for each in history]


def test_what_made_no_layer_has_the_time_of_the_layer_before() -> None:
    at = {seconds: rfc3339(seconds) for seconds in (10, 20, 100)}
    assert _dated([(False, None), (False, None)]) == (at[100], [at[100], at[100]])
    cached = [(False, None), (True, 20), (False, None), (True, 10), (False, None)]
    assert _dated(cached) == (at[20], [at[20], at[20], at[20], at[10], at[10]])
    assert _dated([*cached, (True, None), (False, None)])[0] == at[100]
    assert _dated([(True, 10), (False, None), (True, 20)], inherited=2) == (at[20], [at[10], at[100], at[20]])
