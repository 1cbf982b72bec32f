"""cluster.yaml and the YAML of docs/cluster.md against the schema and the preparation that the installed Ray itself uses."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "cluster.yaml"
GUIDE = ROOT / "docs" / "cluster.md"


def schema() -> Any:
    found = find_spec("ray")
    assert found is not None and found.origin is not None
    return json.loads((Path(found.origin).parent / "autoscaler" / "ray-schema.json").read_text())


def blocks() -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.S)]


def on_premises() -> dict[str, Any]:
    (found,) = [block for block in blocks() if block.get("provider", {}).get("type") == "local"]
    return found


def aws() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(LAUNCHER.read_text())
    return loaded


@pytest.fixture(params=["aws", "local"])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return aws() if request.param == "aws" else on_premises()


def test_ray_schema_takes_it(config: dict[str, Any]) -> None:
    jsonschema.validate(config, schema())


def test_ray_schema_would_find_a_misspelt_key(config: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "idle_timeout_minute": 3}, schema())


def test_ray_prepares_and_validates_it(config: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["head_node_type"] in prepared["available_node_types"]
    assert prepared["setup_commands"] and prepared["worker_start_ray_commands"] == config["worker_start_ray_commands"]


def test_kuberay_block_becomes_a_valid_autoscaler_config() -> None:
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    (cluster,) = [block for block in blocks() if block.get("kind") == "RayCluster"]
    derived = _derive_autoscaling_config_from_ray_cr(cluster)  # validates against the same schema
    gpu = derived["available_node_types"]["gpu"]
    assert (gpu["max_workers"], gpu["resources"]["GPU"], gpu["resources"]["CPU"]) == (8, 1, 8)
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    import ray

    assert cluster["spec"]["rayVersion"] == ray.__version__
    assert f"rayproject/ray:{ray.__version__}-" in GUIDE.read_text()


def test_aws_workers_scale_from_none_on_gpus() -> None:
    types = aws()["available_node_types"]
    assert types["gpu"]["min_workers"] == 0 < types["gpu"]["max_workers"] <= aws()["max_workers"]
    assert types["gpu"]["node_config"]["InstanceType"].startswith(("g", "p"))
    assert types["gpu"]["node_config"]["ImageId"] == types[aws()["head_node_type"]]["node_config"]["ImageId"]


def test_token_authentication_is_on_wherever_ray_starts(config: dict[str, Any]) -> None:
    starts = [
        line for key in config if key.endswith("start_ray_commands") for line in config[key] if "ray start" in line
    ]
    assert len(starts) == 2
    assert all("export RAY_AUTH_MODE=token" in line for line in starts)
    assert "~/.ray/auth_token" in config["file_mounts"].values()
    assert "RAY_AUTH_MODE=disabled" not in json.dumps(config)
    assert not re.search(r"(dashboard-host=|--host )0\.0\.0\.0", json.dumps(config))


def test_mounted_files_exist_and_are_all_that_an_installation_needs() -> None:
    mounts = {Path(remote).name: local for remote, local in aws()["file_mounts"].items() if "/gelo/" in remote}
    assert all((ROOT / local).exists() for local in mounts.values())
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"} == set(mounts)


def test_shell_commands_parse(config: dict[str, Any]) -> None:
    for key in (key for key in config if key.endswith("_commands")):
        for command in config[key]:
            checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
            assert (checked.returncode, checked.stderr) == (0, ""), command


def test_the_head_hands_its_image_to_the_workers(tmp_path: Path) -> None:
    (line,) = [
        line for line in aws()["head_start_ray_commands"] if "ray_bootstrap_config.yaml" in line and "AMI=" in line
    ]
    edit = line[line.index("sed ") :].replace("~", str(tmp_path))
    bootstrap = tmp_path / "ray_bootstrap_config.yaml"
    for text in (json.dumps(aws()), yaml.safe_dump(aws())):  # Ray writes JSON, which is YAML
        bootstrap.write_text(text)
        subprocess.run(["bash", "-c", edit], check=True, env={"AMI": "ami-0123", "PATH": "/usr/bin:/bin"})
        changed = yaml.safe_load(bootstrap.read_text())
        expected = aws()
        for kind in expected["available_node_types"].values():
            kind["node_config"]["ImageId"] = "ami-0123"
        assert changed == expected
