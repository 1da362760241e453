"""A base of another C library: what is unpacked over the container has nothing but musl and one program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.in_place import InShell
from support.listing import list_image
from support.registry import LoopbackRegistry

# The builder's image is built first.
pytestmark = [pytest.mark.usefixtures("as_root"), pytest.mark.exhaustive]

SHELL = r"""
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

int main(int count, char **arguments)
{
    FILE *file = fopen("/said", "a");
    struct passwd *user = getpwuid(getuid());
    fprintf(file, "%s: %s\n", user ? user->pw_name : "nobody", arguments[count - 1]);
    for (char **each = environ; *each; each++)
        fprintf(file, "%s\n", *each);
    return fclose(file);
}
"""
DOCKERFILES = {
    "Dockerfile.base": "FROM scratch\nCOPY loader LOADER\nCOPY shell /bin/sh\nCOPY passwd /etc/\nENV PATH=/bin\n",
    "Dockerfile": "FROM BASE\nRUN one\nRUN two\n",
}


def test_musl(in_shell: InShell, registry: LoopbackRegistry, scratch: Path) -> None:
    workspace = scratch / "workspace"
    (workspace / "shell.c").write_text(SHELL)
    subprocess.run(["musl-gcc", "-O1", "-o", workspace / "shell", workspace / "shell.c"], check=True)
    (loader,) = Path("/lib").glob("ld-musl-*.so.1")
    shutil.copy(loader, workspace / "loader")
    (workspace / "passwd").write_text("superuser:x:0:0::/:/bin/sh\n")
    base, reference = registry.reference("in-place/musl:base"), registry.reference("in-place/musl:1")
    texts = {name: text.replace("LOADER", str(loader)).replace("BASE", base) for name, text in DOCKERFILES.items()}
    script = f"$BUILD -f Dockerfile.base --destination {base} && $BUILD --destination {reference} && test ! -e /said"
    in_shell(script, dockerfiles=texts).ok()
    image = list_image(registry, "in-place/musl", "1")
    layers = [sorted(path for path, _ in layer) for layer in image.layers[-2:]]
    assert [sorted({"said"} & set(layer)) for layer in layers] == [["said"], ["said"]], layers
    said = image.text("said").splitlines()
    assert [line for line in said if ":" in line] == ["superuser: one", "superuser: two"]
    assert set(said[1:]) - {"superuser: two"} == {"PATH=/bin", "HOME=/"}
