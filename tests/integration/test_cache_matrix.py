"""What is built again when something changes: exactly what depends on it, and the log says why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.builder import Builder, MakeBuilder
from support.caching import Told, told, with_cache
from support.contexts import write_context

TOOLS_RUN = "RUN echo tools > /tools"
TOOLS_COPY = "COPY tool.txt extra.txt /t/"
COPY_A = "COPY --chown=app a.txt /a"
RUN_A = "RUN cat /a > /ran-a"
COPY_TOOL = "COPY --from=tools /t/tool.txt /tool"
RUN_TOOL = "RUN --mount=type=secret,id=token cat /tool"
COPY_DIR = "COPY dir/ /dir/"
RUN_VERSION = "RUN echo built"
COPY_DOC = "COPY <<EOF /doc ..."
RUN_MOUNTED = "RUN --mount=type=bind,source=mounted,target=/m cat /m/* > /mounted"
RUN_FROM = "RUN --mount=type=bind,from=tools,source=/t/extra.txt,target=/e cat /e"
LINKED = "COPY --link linked.txt /linked"
WORKDIR = "WORKDIR /work"
RUN_USER = "RUN echo done > /tmp/done"

DOCKERFILE = f"""
ARG BASE
FROM $BASE AS tools
{TOOLS_RUN}
{TOOLS_COPY}

FROM $BASE
LABEL stage=main
{COPY_A}
{RUN_A}
{COPY_TOOL}
{RUN_TOOL}
{COPY_DIR}
ARG LATER
ARG VERSION=1
{RUN_VERSION}
ENV MODE=fast
COPY <<EOF /doc
text of the document
