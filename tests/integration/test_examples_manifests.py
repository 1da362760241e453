"""examples/kubernetes.yaml and examples/tekton.yaml: what they are, and their command lines in a real container."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from conformance.servers import web_server
from support.certificates import certificate, tls_front
from support.contexts import MakeContext
from support.docker_daemon import DockerDaemon
from support.listing import list_image
from support.registry import PASSWORD, USER, LoopbackRegistry

EXAMPLES = Path(__file__).parents[2] / "examples"


def kubernetes() -> dict[str, Any]:
    """The objects of examples/kubernetes.yaml by kind."""
    documents = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()))
    return {document["kind"]: document for document in documents}


def test_kinds_of_kubernetes() -> None:
    objects = kubernetes()
    assert {kind: each["apiVersion"] for kind, each in objects.items()} == {
        "Secret": "v1",
        "ConfigMap": "v1",
        "Job": "batch/v1",
    }
    pod = objects["Job"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] in ("Never", "OnFailure")
    names = {each["metadata"]["name"] for each in objects.values()}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    sources = {volume.get("secret", {}).get("secretName") or volume["configMap"]["name"] for volume in volumes.values()}
    assert sources <= names
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
    assert "privileged" not in json.dumps(objects)


def mounted(objects: Mapping[str, Any], contents: Mapping[str, str], directory: Path) -> dict[Path, str]:
    """What the kubelet makes of the volumes: the files of `contents` (by key) where the Job mounts them."""
    pod = objects["Job"]["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    result = {}
    for mount in pod["containers"][0]["volumeMounts"]:
        source = directory / mount["name"]
        source.mkdir()
        volume = volumes[mount["name"]]
        renamed = {item["key"]: item["path"] for item in volume.get("secret", {}).get("items", [])}
        stored = objects["Secret"]["stringData"] if "secret" in volume else objects["ConfigMap"]["data"]
        for key in stored:
            (source / renamed.get(key, key)).write_text(contents[key])
        result[source / mount.get("subPath", "")] = mount["mountPath"] + (":ro" if mount.get("readOnly") else "")
    return result


@pytest.mark.exhaustive
def test_the_job_of_kubernetes(docker: DockerDaemon, executor_in_docker: str, scratch: Path) -> None:
    """A git server whose certificate the ConfigMap makes known, and a registry with the login of the Secret."""
    objects, shown = kubernetes(), certificate(scratch)
    (container,) = objects["Job"]["spec"]["template"]["spec"]["containers"]
    assert "command" not in container
    with LoopbackRegistry(htpasswd=True) as registry, web_server({}, scratch / "web") as web:
        with tls_front(shown, int(web.rpartition(":")[2])) as git:
            places = {"https://git.example.com/group": f"https://{git}/git", "registry.example.com": registry.host}
            arguments = [replaced(argument, places) for argument in container["args"]]
            login = replaced(objects["Secret"]["stringData"][".dockerconfigjson"], places)
            login = login.replace("robot", USER).replace("change me", PASSWORD)
            contents = {".dockerconfigjson": login, "authorities.crt": shown.authority.read_text()}
            files = mounted(objects, contents, scratch)
            dockerfile = scratch / "Dockerfile"
            dockerfile.write_text("FROM scratch\nCOPY readme /\n")
            outcome = docker.run(
                executor_in_docker,
                *arguments,
                "--dockerfile=/tmp/Dockerfile",
                files={**files, dockerfile: "/tmp/Dockerfile"},
            )
            outcome.ok()
        assert registry.tags("group/project") == ["latest"]
    assert PASSWORD not in outcome.output


def replaced(text: str, places: Mapping[str, str]) -> str:
    for example, real in places.items():
        text = text.replace(example, real)
    return text


def tekton() -> dict[str, Any]:
    task: dict[str, Any] = yaml.safe_load((EXAMPLES / "tekton.yaml").read_text())
    return task


def test_the_task_of_tekton_names_what_it_declares() -> None:
    task = tekton()
    assert (task["apiVersion"], task["kind"]) == ("tekton.dev/v1", "Task")
    spec = task["spec"]
    declared = {
        f"{section}.{each['name']}" for section in ("params", "workspaces", "results") for each in spec[section]
    }
    used = set(re.findall(r"\$\(((?:params|workspaces|results)\.[A-Za-z_-]+)", json.dumps(spec["steps"])))
    assert used <= declared
    assert declared - used == {"workspaces.docker-config"}  # it is mounted where the builder looks


@pytest.mark.exhaustive
def test_the_step_of_tekton(
    docker: DockerDaemon, executor_in_docker: str, make_context: MakeContext, registry: LoopbackRegistry, scratch: Path
) -> None:
    task = tekton()["spec"]
    (step,) = task["steps"]
    source = make_context({"app/images/Dockerfile": "FROM scratch\nCOPY file /\n", "app/file": "here\n"})
    image = registry.reference("tekton/image:v1")
    values = {param["name"]: param["default"] for param in task["params"] if "default" in param}
    values |= {"IMAGE": image, "CONTEXT": "app", "DOCKERFILE": "images/Dockerfile", "BUILDER_IMAGE": executor_in_docker}
    values["EXTRA_ARGS"] = ["--label=a=b", "--verbosity=debug"]
    fixed = {"workspaces.source.path": "/workspace/source"}
    fixed |= {f"results.{result['name']}.path": f"/tekton/results/{result['name']}" for result in task["results"]}
    arguments = list(substituted(step["args"], values, fixed))
    (command,) = step["command"]
    (scratch / "results").mkdir()
    files = {source: "/workspace/source", scratch / "results": "/tekton/results"}
    directory = next(substituted([step["workingDir"]], values, fixed))
    options = [f"--entrypoint={command}", f"--workdir={directory}", f"--user={step['securityContext']['runAsUser']}"]
    docker.run(values["BUILDER_IMAGE"], *arguments, options=options, files=files).ok()
    built = list_image(registry, "tekton/image", "v1")
    assert built.text("file") == "here\n"
    assert built.config["config"]["Labels"] == {"a": "b"}
    digest = registry.digest("tekton/image", "v1")
    assert (scratch / "results/IMAGE_DIGEST").read_text().strip() == digest
    assert (scratch / "results/IMAGE_REFERENCE").read_text().strip().endswith(f"@{digest}")


def substituted(arguments: list[str], values: Mapping[str, Any], fixed: Mapping[str, str]) -> Any:
    """Tekton's variable substitution: $(params.NAME), $(params.NAME[*]), and `fixed`."""
    known = {**{f"params.{name}": value for name, value in values.items() if isinstance(value, str)}, **fixed}
    for argument in arguments:
        whole = re.fullmatch(r"\$\(params\.(\w+)\[\*\]\)", argument)
        if whole:
            yield from values[whole[1]]
        else:
            yield re.sub(r"\$\(([^)]+)\)", lambda found: known[found[1]], argument)
