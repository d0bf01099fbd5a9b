"""The recipes in cluster/: Ray takes them, their versions are those of uv.lock, and none lets anybody in unasked."""

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler as autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "cluster"
LAUNCHED = ["aws.yaml", "gcp.yaml", "local.yaml"]
"""Those for `ray up`."""
TEXTS = sorted(path for path in CLUSTER.rglob("*") if path.is_file())


def read(name: str) -> Any:
    return yaml.safe_load((CLUSTER / name).read_text(encoding="utf-8"))


def raycluster() -> Any:
    documents = list(yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text(encoding="utf-8")))
    assert [each["kind"] for each in documents] == ["PersistentVolumeClaim", "RayCluster"]
    return documents


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_takes_it(name: str) -> None:
    schema = json.loads((Path(autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(read(name), schema)
    prepared = prepare_config(copy.deepcopy(read(name)))
    validate_config(prepared)
    workers = [kind for kind in prepared["available_node_types"].values() if kind.get("min_workers")]
    assert [kind["min_workers"] for kind in workers] == [2]


@pytest.mark.parametrize("name", LAUNCHED)
def test_what_it_ships_is_here_or_is_made_as_it_says(name: str) -> None:
    made = {"dist": "wheel:", "~/.ray/auth_token": ""}
    for there, here in read(name)["file_mounts"].items():
        assert there.startswith("~/")
        if here in made:
            assert made[here] in (ROOT / "Makefile").read_text()
        else:
            assert (ROOT / here).exists(), here
    commands = "\n".join(read(name)["setup_commands"])
    for used in re.findall(r"~/ebbtide/node/([\w.]+)", commands):
        assert (CLUSTER / "node" / used).exists()


@pytest.mark.parametrize("name", LAUNCHED)
def test_a_node_is_set_up_alike_wherever_it_is(name: str) -> None:
    alike = read("local.yaml")
    assert read(name)["file_mounts"] == alike["file_mounts"]
    assert [line for line in read(name)["setup_commands"] if "apt-get" not in line] == alike["setup_commands"]


def test_nobody_joins_without_the_token() -> None:
    environment = (CLUSTER / "node" / "environment.sh").read_text()
    assert re.search(r"^export RAY_AUTH_MODE=token$", environment, re.MULTILINE)
    for name in LAUNCHED:
        assert "~/.ray/auth_token" in read(name)["file_mounts"]
        assert any("node/environment.sh" in line for line in read(name)["setup_commands"])
    assert raycluster()[1]["spec"]["authOptions"] == {"mode": "token"}
    given = {each["name"]: each for each in read("kuberay-values.yaml")["common"]["containerEnv"]}
    assert given["RAY_AUTH_MODE"]["value"] == "token"
    assert set(given["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]) == {"name", "key"}
    for path in TEXTS:
        assert not re.search(r"AUTH_MODE\W+(disabled|none|0)", path.read_text()), path


def test_versions_are_those_of_the_lock_file() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    locked = {package["name"]: package["version"] for package in packages}
    spec = raycluster()[1]["spec"]
    assert spec["rayVersion"] == read("kuberay-values.yaml")["head"]["rayVersion"] == locked["ray"]
    told = "\n".join(path.read_text() for path in TEXTS)
    assert set(re.findall(r"ray\[default\]==([\w.]+)", told)) == {locked["ray"]}
    assert set(re.findall(r"rayproject/ray:([\d.]+)", told)) == {locked["ray"]}
    assert set(re.findall(r"ebbtide-([\d.]+)-py3", told)) == {locked["ebbtide"]}
    assert read("kuberay-values.yaml")["image"]["tag"] == locked["ebbtide"]
    # What is not in the lock file is pinned all the same.
    for line in re.findall(r"pip install.*", told):
        for package in re.findall(r"'([^']+)'", line):
            assert "==" in package, line


def test_pods_share_the_folder_and_run_one_image() -> None:
    claim, cluster = raycluster()
    assert cluster["apiVersion"] == "ray.io/v1"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    images = set()
    for group in groups:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        images.add(container["image"])
        assert isinstance(group["rayStartParams"], dict)
        assert {each["name"] for each in container["volumeMounts"]} <= {each["name"] for each in pod["volumes"]}
        assert [each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"]] == [claim["metadata"]["name"]]
    values = read("kuberay-values.yaml")
    assert images == {f"{values['image']['repository']}:{values['image']['tag']}"}
    for part in ("head", "worker"):
        assert values[part]["volumes"] == groups[0]["template"]["spec"]["volumes"]
    workers = cluster["spec"]["workerGroupSpecs"][0]
    counts = ("groupName", "replicas", "minReplicas", "maxReplicas")
    assert {name: workers[name] for name in counts} == {name: values["worker"][name] for name in counts}
