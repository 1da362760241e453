"""What a cached layer does to a stage: all that its instruction would have done, unread if possible."""

from __future__ import annotations

from pathlib import Path

from builder.cache.base import CachedLayer
from builder.dockerfile.syntax import Run, Workdir
from builder.engine.caching.step_inputs import Step
from builder.engine.foundations import OnImage
from builder.engine.instructions import files, run, workdir
from builder.engine.layers import Layer, completed
from builder.engine.services import Services
from builder.engine.stage import Stage
from builder.errors import LayerError
from builder.layer.changes import Changes
from builder.layer.entry import Entry, Kind
from builder.layer.whiteouts import whited_out
from builder.rootfs.layer_files import LayerFiles
from builder.rootfs.unpacked import LayerStore
from builder.storage.blob import Blob


def apply(hit: CachedLayer, stage: Stage, instruction: Step, services: Services, *, seconds: int | None) -> Layer:
    """Put the layer on the stage, with what the instruction does to config and history.

    As long as all layers of a stage are cached, none of them is read: the stage then stands on one image more.

    Args:
        seconds: when the history says that it was built; None for when it really was.

    Raises what reading a layer raises, where files have been made already.
    """
    if isinstance(instruction, Workdir):
        workdir.enter(stage, instruction)
        text = workdir.created_by(stage)
    elif isinstance(instruction, Run):
        text = run.created_by(stage, instruction)
    else:
        text = files.created_by(instruction)
    stage.note(text, empty_layer=False, seconds=hit.created if seconds is None else seconds)
    layer = Layer(blob=hit.blob, diff_id=hit.diff_id)
    stage.layers.append(completed(layer))
    below = stage.image_files()
    if below is None:
        stage.linked(changes_of(services.layers, hit.blob))
    else:
        stage.base = OnImage(services=services, files=below.with_layer(hit.blob))
    return layer


def changes_of(store: LayerStore, blob: Blob) -> Changes:
    """What a layer that the builder itself has written changes. Raises LayerError, and what reading it raises."""
    index = store.index(blob)

    def unpacked() -> Path:
        place = store.unpack(blob)[1]
        if place is None:
            raise LayerError(f"layer {blob.descriptor.digest} is none of the builder's")
        return place

    layer = LayerFiles(store, blob, index, unpacked)
    changes: dict[str, Entry | None] = {}
    for path, entry in index.members:
        if (gone := whited_out(path)) is not None:
            changes[gone] = None
        elif entry.kind is Kind.HARDLINK:
            if entry.link not in changes:
                raise LayerError(f"layer {blob.descriptor.digest} has a hardlink to /{entry.link}, which is not there")
            changes[path] = changes[entry.link]
        elif entry.kind is Kind.FILE and entry.content is None:
            changes[path] = entry._replace(content=layer.content(path))
        else:
            changes[path] = entry
    return changes
