"""The flags of every subcommand, as data: one row a flag.

A row's `status` says how far the builder is: ``supported``, ``later`` (documented, refused with NotSupportedYet when it
asks for something) or ``no-op`` (accepted for kaniko's sake, said once at debug level).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Kind = Literal["string", "boolean", "repeatable", "integer", "duration"]
Status = Literal["supported", "later", "no-op"]
Value = str | bool | int | tuple[str, ...]


class Flag(NamedTuple):
    """One flag.

    Attributes:
        name: its spelling after the two dashes.
        kind: ``boolean`` never takes the next argument; ``repeatable`` collects its values in order, commas are not
            split (kaniko's multiArg); ``duration`` is Go's (``336h``, ``1h30m``), in nanoseconds.
        default: its value when it is not given; "" for a string without one.
        help: one sentence for --help; "" hides the flag there.
        group: heading that --help puts it under.
        metavar: what --help calls the value.
        short: its one-letter spelling, "" for none.
        environment: variable that gives the value when the flag does not; repeatable flags take both.
        old: spellings that still work and are said at debug level to have a new one.
        status: see the module.
    """

    name: str
    kind: Kind
    default: Value
    help: str
    group: str = ""
    metavar: str = ""
    short: str = ""
    environment: str = ""
    old: tuple[str, ...] = ()
    status: Status = "supported"


def text(name: str, metavar: str, says: str, default: str = "", **rest: Any) -> Flag:
    return Flag(name, "string", default, says, metavar=metavar)._replace(**rest)


def switch(name: str, says: str, default: bool = False, **rest: Any) -> Flag:
    return Flag(name, "boolean", default, says)._replace(**rest)


def many(name: str, metavar: str, says: str, **rest: Any) -> Flag:
    return Flag(name, "repeatable", (), says, metavar=metavar)._replace(**rest)


def number(name: str, says: str, default: int = 0, **rest: Any) -> Flag:
    return Flag(name, "integer", default, says, metavar="N")._replace(**rest)


def duration(name: str, says: str, hours: int, **rest: Any) -> Flag:
    return Flag(name, "duration", hours * 3600 * 10**9, says, metavar="DURATION")._replace(**rest)


def group(title: str, *flags: Flag) -> tuple[Flag, ...]:
    """The rows under one heading of --help."""
    return tuple(flag._replace(group=title) for flag in flags)


HELP = switch("help", "Show this help.", short="h")

OUTPUT_OF_LOGS = group(
    "Messages",
    text("verbosity", "LEVEL", "How much is said: panic, fatal, error, warn, info, debug or trace.", "info", short="v"),
    text("log-format", "FORMAT", "text, color or json (default: color on a terminal, else text)."),
    switch("log-timestamp", "Begin each line with the time."),
    text("progress", "KIND", "auto, tty, plain or json.", "auto"),
    HELP,
)

STATE = text(
    "state-dir",
    "DIR",
    "Where blobs, unpacked layers and the local cache are (default: $XDG_STATE_HOME/builder, root's /var/lib/builder).",
    environment="BUILDER_STATE_DIR",
)

CONTEXT = group(
    "Context and Dockerfile",
    text(
        "context",
        "SOURCE",
        "Where the files come from: a directory, tar://FILE, tar://stdin or a git URL "
        "(default: /workspace/ in the image, else the working directory).",
        short="c",
    ),
    text("context-sub-path", "PATH", "Directory within the context to use as the context."),
    text(
        "dockerfile",
        "FILE",
        "The Dockerfile: in the context, else as a path; or an https:// URL.",
        "Dockerfile",
        short="f",
    ),
    many("git", "KEY=VALUE", "For a git context: branch, single-branch, depth, recurse-submodules, insecure-skip-tls."),
    text("bucket", "BUCKET", "", short="b"),
    many("build-context", "NAME=SOURCE", "A named context for FROM and COPY --from."),
)

BUILD = group(
    "Build",
    many("build-arg", "NAME[=VALUE]", "Set an ARG; without a value it is taken from the environment."),
    many("target", "STAGE", "Stage to build instead of the last; of several the first is the image."),
    many("custom-platform", "PLATFORM,...", "Another name of --platform.", old=("customPlatform",)),
    many(
        "platform",
        "PLATFORM,...",
        "os/arch[/variant] to build for, if not the host's; more than one make an index of an image for each.",
    ),
    many("secret", "id=ID[,src=FILE][,env=NAME]", "A secret for RUN --mount=type=secret."),
    many("ssh", "ID[=SOCKET]", "An agent socket for RUN --mount=type=ssh."),
    text("network", "MODE", "Network of RUN commands that name none: default, none or host.", "default"),
    text("isolation", "HOW", "Where commands run: auto, namespace or in-place.", "auto"),
    switch("force", "With --isolation=in-place: run outside of a container, too."),
    switch("single-snapshot", "Make one layer of all that the build changes."),
    text(
        "snapshot-mode",
        "MODE",
        "full, redo or time; snapshots are right and fast in each of them.",
        "full",
        old=("snapshotMode",),
    ),
    many("ignore-path", "PATH", "Leave this path of the image's filesystem out of the snapshots."),
    switch("ignore-var-run", "Leave /var/run out of the snapshots.", old=("whitelist-var-run",)),
    switch("check", "Check the Dockerfile and stop."),
    switch("dryrun", "Print what would be built and stop."),
    text("profile", "FILE", "Write where the time went, as a Chrome trace for https://ui.perfetto.dev."),
)

OUTPUT = group(
    "Image and outputs",
    many("destination", "IMAGE", "Reference to push the image to.", short="d"),
    switch("no-push", "Do not push the image.", environment="KANIKO_NO_PUSH"),
    text("tar-path", "FILE", "Save the image as an archive for docker load.", old=("tarPath",)),
    text("oci-layout-path", "DIR", "Save the image as an OCI layout."),
    text("digest-file", "FILE", "Write the image's digest."),
    text("image-name-with-digest-file", "FILE", "Write name@digest for each destination."),
    text("image-name-tag-with-digest-file", "FILE", "Write name:tag@digest for each destination."),
    text("metadata-file", "FILE", "Write digest and descriptor of the result as JSON, as BuildKit does."),
    text("provenance", "MODE", "min: attest how the image was built, in an index with it.", "false"),
    many("label", "KEY=VALUE", "Add a label to the image."),
    many("annotation", "KEY=VALUE", "Add an annotation to the manifest; index:KEY=VALUE, to the index of several."),
    text("image-format", "FORMAT", "docker or oci (default: the base's)."),
    text("compression", "ALGORITHM", "gzip or zstd for new layers; zstd means OCI.", "gzip"),
    number("compression-level", "Level of the compression, -1 for its default.", -1),
    switch("reproducible", "The same input gives the same image, bit for bit; honours SOURCE_DATE_EPOCH."),
)

REGISTRY = group(
    "Registries",
    switch("insecure", "Push by plain HTTP where HTTPS does not answer."),
    switch("insecure-pull", "Pull by plain HTTP where HTTPS does not answer."),
    many("insecure-registry", "HOST", "Use plain HTTP with this registry."),
    switch("skip-tls-verify", "Push without verifying certificates."),
    switch("skip-tls-verify-pull", "Pull without verifying certificates."),
    many("skip-tls-verify-registry", "HOST", "Do not verify this registry's certificate."),
    many("registry-certificate", "HOST=FILE", "Certificate authorities for this registry."),
    many("registry-client-cert", "HOST=CERT,KEY", "Client certificate and key for this registry."),
    many("registry-map", "A=B;C=D", "Pull from B what is asked for from A.", environment="KANIKO_REGISTRY_MAP"),
    many("registry-mirror", "HOST", "Mirror of Docker Hub to pull from.", environment="KANIKO_REGISTRY_MIRROR"),
    switch("skip-default-registry-fallback", "Do not ask the registry itself when its mirrors fail."),
    many(
        "credential-helpers",
        "NAME,...",
        'Ways to find credentials besides config.json: env, gitlab, google, ecr, acr (default: all; "" for none).',
    ),
    number("push-retry", "More attempts to push, beyond those for transient faults."),
    number("image-download-retry", "More attempts to pull, beyond those for transient faults."),
    number("image-fs-extract-retry", "More attempts to unpack a base image."),
    switch("push-ignore-immutable-tag-errors", "A tag that exists and may not change is no error."),
    switch("skip-push-permission-check", "Do not check before the build that the push will be allowed."),
)

CACHE = group(
    "Cache",
    switch("cache", "Keep and use layers in a cache repository; --cache=false: nor on this machine."),
    switch("no-cache", "Take nothing from caches of layers, though store it there."),
    many("no-cache-filter", "STAGE,...", "Stages of which nothing is taken from caches of layers."),
    text("cache-repo", "REPOSITORY", "Repository of the cached layers, or oci:PATH (default: <destination>/cache)."),
    text("cache-dir", "DIR", "Base images that `warm` has fetched; if it is given, cache mounts, too.", "/cache"),
    duration("cache-ttl", "How long a cached layer is used.", 336),
    switch("cache-copy-layers", "Cache the layers of COPY, too."),
    switch("cache-run-layers", "Cache the layers of RUN.", True),
    switch("compressed-caching", "Compress the cached layers.", True),
    switch("no-push-cache", "Use the cache without adding to it."),
)

PLACE = group(
    "State",
    STATE,
    text("kaniko-dir", "DIR", "The builder's own directory in its image.", "/kaniko", environment="KANIKO_DIR"),
    switch(
        "cleanup",
        "In place: clean the filesystem at the end, which is done in any case unless --materialize says otherwise.",
        environment="KANIKO_CLEANUP",
    ),
    switch(
        "pre-cleanup",
        "In place: clean the filesystem before the build, which is done in any case.",
        environment="KANIKO_PRE_CLEANUP",
    ),
    switch(
        "preserve-context",
        "In place: restore the context between stages and at the end if commands have changed it.",
        environment="KANIKO_PRESERVE_CONTEXT",
    ),
    switch(
        "materialize",
        "In place: leave the target's filesystem in place; the next build puts the container's own back.",
        environment="KANIKO_MATERIALIZE",
    ),
)

ACCEPTED = group(
    "Accepted for kaniko's sake",
    switch("use-new-run", "No effect.", status="no-op"),
    switch("skip-unused-stages", "No effect: unused stages are never built.", True, status="no-op"),
    switch("force-build-metadata", "No effect.", status="no-op"),
    text("azure-container-registry-config", "FILE", "", status="no-op"),
)

BUILD_FLAGS = (*CONTEXT, *BUILD, *OUTPUT, *REGISTRY, *CACHE, *PLACE, *ACCEPTED, *OUTPUT_OF_LOGS)

_PUSH_OUTPUT = ("destination", "digest-file", "image-name-with-digest-file", "image-name-tag-with-digest-file")
_PULL_ONLY = ("insecure-pull", "skip-tls-verify-pull", "registry-map", "registry-mirror", "image-download-retry",
              "skip-default-registry-fallback", "image-fs-extract-retry")  # fmt: skip

PUSH_FLAGS = (
    *(flag for flag in OUTPUT if flag.name in _PUSH_OUTPUT),
    *(flag for flag in REGISTRY if flag.name not in _PULL_ONLY),
    STATE._replace(group="State"),
    *OUTPUT_OF_LOGS,
)
