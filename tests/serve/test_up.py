"""What `isletnet up` checks and hands on before anything is started."""

import json
import logging
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from isletnet.errors import ConflictError, ParameterError, StorageError, StoreUnsuitableError
from isletnet.settings import Settings
from serve import up
from serve.platform import become_worker, deploy, run_folder
from serve.platform.deploy import read_config
from tests.storage.store_contract import MemoryStore


def test_a_taken_port_is_refused_and_its_holder_named():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ConflictError, match=rf"port {port} .* \(process {os.getpid()}\) has it.* ISLETNET_PORT"):
            up.check_port("127.0.0.1", port, "ISLETNET_PORT")


def test_a_port_that_was_just_left_is_free():
    with socket.socket() as holder:
        # As servers do.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), holder.accept()[0]:
            pass
    up.check_port("127.0.0.1", port, "ISLETNET_PORT")


def test_beyond_this_machine_needs_keys(tmp_path: Path):
    settings = Settings(store=str(tmp_path / "store"), host="0.0.0.0")
    with pytest.raises(ParameterError, match="isletnet keys add"):
        up.run(settings, say=lambda line: None)


def test_a_store_that_overwrites_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Overwriting(MemoryStore):
        def create(self, key: str, content: bytes) -> None:
            self._objects[key] = content

    monkeypatch.setattr(up, "open_store", lambda location: Overwriting())
    with pytest.raises(StoreUnsuitableError, match="If-None-Match"):
        up.run(Settings(store=str(tmp_path / "store")), say=lambda line: None)


def test_no_way_of_deploying_goes_around_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("ISLETNET_STORE", str(tmp_path / "store"))
    arguments = ["--address", "127.0.0.1:1", "--config", str(up.SERVE_CONFIG), "--host", "0.0.0.0"]
    assert deploy.main(arguments) == 1
    assert "isletnet keys add" in capsys.readouterr().err


def test_resources_must_be_there(tmp_path: Path):
    settings = Settings(store=str(tmp_path / "store"), serve_config=str(tmp_path / "none.yaml"))
    with pytest.raises(ParameterError, match=r"none\.yaml"):
        up.run(settings, say=lambda line: None)


def test_the_environment_locks_ray_and_means_this_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    outer = {"RAY_ADDRESS": "10.0.0.1:6379", "ISLETNET_MAX_IMAGES": "7", "OMP_NUM_THREADS": "3"}
    location = run_folder.store_location("a-store")
    given = up.make_environment(Settings(store="a-store"), outer, tmp_path / "run", location=location)
    assert given["ISLETNET_STORE"] == str(tmp_path / "a-store")
    assert given["ISLETNET_MAX_IMAGES"] == "7"
    assert given["OMP_NUM_THREADS"] == "3"
    assert (given["RAY_AUTH_MODE"], given["RAY_AUTH_TOKEN_PATH"]) == ("token", str(tmp_path / "run" / "token"))
    assert "RAY_ADDRESS" not in given


def test_the_processes_of_a_platform_start_without_what_takes_seconds(tmp_path: Path):
    outer = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    given = up.make_environment(Settings(), outer, tmp_path / "run", location=str(tmp_path))
    assert "PYTHONDONTWRITEBYTECODE" not in given
    program = (
        "import sys, ray, serve.ingress\n"
        "assert 'ray.serve._private.replica' in sys.modules\n"
        "assert 'jsonschema' in sys.modules and 'jsonschema.validators' not in sys.modules\n"
        "assert not {'pandas', 'scipy', 'skimage'} & set(sys.modules), 'tables and statistics were loaded'\n"
        # Who needs them, gets them.
        "import jsonschema\n"
        "jsonschema.validate({'n': 1}, {'properties': {'n': {'type': 'integer'}}})\n"
        "assert 'jsonschema.validators' in sys.modules\n"
        "assert 'lark' not in sys.modules, 'a grammar was built'\n"
        "import pandas, pandas.testing\n"
        "assert pandas is sys.modules['pandas'] and pandas.DataFrame({'n': [1]}).shape == (1, 1)\n"
    )
    subprocess.run([sys.executable, "-c", program], env=given, check=True, timeout=120)


WORKER = "/somewhere/ray/_private/workers/default_worker.py"


def test_a_process_of_ray_becomes_its_worker_at_once():
    given = ["-s", WORKER, "--worker-id=7", "--language=PYTHON", "--node-id=a"]
    assert become_worker.command(given) == [sys.executable, "-s", WORKER, "--worker-id=7", "--node-id=a"]


def test_a_process_that_wants_an_environment_gets_it_by_ray():
    given = [WORKER, "--worker-id=7", "--language=PYTHON", '--serialized-runtime-env-context={"env_vars": {"A": "1"}}']
    assert become_worker.command(given) == [sys.executable, WORKER.replace("default", "setup"), *given]
    with pytest.raises(ValueError, match="Python"):
        become_worker.command([WORKER, "--language=JAVA"])


def test_each_life_has_a_new_token_and_no_dashboard(tmp_path: Path):
    run_folder.make_run_folder(tmp_path)
    tokens = set()
    for _ in range(2):
        head = list(up.make_commands(Settings(), tmp_path, up.SERVE_CONFIG).head)
        token = tmp_path / "token"
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        tokens.add(token.read_text())
    assert {len(token) for token in tokens} == {64}
    assert len(tokens) == 2
    assert head[head.index("--include-dashboard") + 1] == "false"
    # Not `ray start` itself, which opens a door for remote programs.
    assert head[1:3] == ["-m", "serve.platform.head"]
    assert head[head.index("--node-ip-address") + 1] == "127.0.0.1"


@pytest.mark.parametrize("config", [up.SERVE_CONFIG, *sorted((up.ROOT / "serve" / "examples").glob("*.yaml"))])
def test_resource_files_are_what_ray_serve_takes(config: Path):
    from ray.serve.schema import ServeDeploySchema

    schema = ServeDeploySchema.model_validate(read_config(config, host="127.0.0.1", port=8123))
    args = schema.applications[0].args
    assert (schema.proxy_location, args["host"], args["port"]) == ("Disabled", "127.0.0.1", 8123)
    assert [app.import_path for app in schema.applications] == ["serve.app:build"]
    names = [deployment.name for deployment in schema.applications[0].deployments]
    assert names == ["Ingress", "Shepherd", "Segmenter", "Keeper"]


def test_a_port_is_that_of_one_platform_and_free_when_it_ends():
    with up.held("127.0.0.1", 8123, "ISLETNET_PORT"):
        with (
            pytest.raises(ConflictError, match="ISLETNET_PORT"),
            up.held("127.0.0.1", 8123, "ISLETNET_PORT"),
        ):
            pass
        with up.held("127.0.0.1", 8124, "ISLETNET_PORT"):
            pass
    with up.held("127.0.0.1", 8123, "ISLETNET_PORT"):
        pass


def test_a_file_that_is_no_resource_file_is_refused(tmp_path: Path):
    path = tmp_path / "other.yaml"
    path.write_text("- 1\n")
    with pytest.raises(ValueError, match="applications"):
        read_config(path, host="127.0.0.1", port=1)


def test_a_run_folder_is_its_owners_alone(tmp_path: Path):
    folder = tmp_path / "run"
    run_folder.make_run_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StorageError, match="remove it"):
        run_folder.make_run_folder(tmp_path / "link")
    assert list(target.iterdir()) == []


def test_the_same_store_has_the_same_run_folder_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    names = ["store", "./store/", str(tmp_path / "link")]
    assert len({run_folder.find_run_folder(run_folder.store_location(name)) for name in names}) == 1
    assert run_folder.store_location("s3://bucket/prefix") == "s3://bucket/prefix"
    # Ray's sockets lie below it, in 107 bytes at most.
    assert len(run_folder.find_run_folder("x").name) == len("isletnet-12345678")


def test_log_lines_are_json_and_stay_lines():
    record = logging.makeLogRecord({"msg": "two\nlines %s", "args": ("\r\n",), "levelname": "ERROR", "pid": 4})
    line = up.JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line) | {"utc": None} == {"utc": None, "level": "ERROR", "message": "two\nlines \r\n", "pid": 4}


def test_a_log_that_has_grown_too_long_is_put_aside(tmp_path: Path):
    run_folder.make_run_folder(tmp_path)
    (tmp_path / "logs" / "head.log").write_bytes(b"x" * 10_000_001)
    os.close(run_folder.open_log(tmp_path, "head"))
    assert (tmp_path / "logs" / "head.log").stat().st_size == 0
    assert (tmp_path / "logs" / "head.log.1").stat().st_size == 10_000_001
