"""The outputs of a command: options to what the engine takes, and what is said of them at the end."""

from __future__ import annotations

from collections.abc import Mapping

from builder.cli.options import OutputOptions, RegistryOptions
from builder.digest import Digest
from builder.engine.request import Outputs
from builder.image.reference import Reference
from builder.progress import Progress, log


def outputs(output: OutputOptions, registry: RegistryOptions) -> Outputs:
    return Outputs(
        destinations=output.destinations,
        push=not output.no_push,
        tar_path=output.tar_path,
        oci_layout_path=output.oci_layout_path,
        digest_file=output.digest_file,
        image_name_with_digest_file=output.image_name_with_digest_file,
        image_name_tag_with_digest_file=output.image_name_tag_with_digest_file,
        metadata_file=output.metadata_file,
        check_permission=registry.check_permission,
    )


def tell(outputs: Outputs, digest: Digest, progress: Progress, kept: Mapping[Reference, Digest | None]) -> None:
    """Say where the image is now, and where it is not: `kept` are the tags that stay what they were."""
    for path in (outputs.tar_path, outputs.oci_layout_path):
        if path:
            log(progress, "info", f"wrote {path}")
    if outputs.push and outputs.destinations:
        for destination in outputs.destinations:
            if destination in kept:
                now = kept[destination] or "what it was"
                log(progress, "info", f"built {digest}; not pushed to {destination}, which stays {now}")
            else:
                log(progress, "info", f"pushed {destination.with_digest(digest)}")
    else:
        log(progress, "info", f"built {digest}")
