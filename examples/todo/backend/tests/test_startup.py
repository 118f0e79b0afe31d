"""What the process says, and how it ends, when its environment is wrong."""

import os
import subprocess
import sys
import time

import pytest

REQUIRED = {
    "DATABASE_URL": "postgresql://todo:hidden-password@database.invalid:5432/todo",
    "JWT_SECRET": "only-for-tests-" + "0" * 32,
    "MCP_SERVER_URL": "http://mcp-server:8001/mcp",
}


def start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_missing_variable_is_named(name):
    ended = start({key: value for key, value in REQUIRED.items() if key != name})
    assert ended.returncode != 0
    assert f"{name}: Field required" in ended.stderr


def test_an_unknown_database_host_ends_the_process_soon_and_is_named():
    began = time.monotonic()
    ended = start({**REQUIRED, "DATABASE_HOST": "postgres-primary.invalid"})
    assert ended.returncode != 0
    assert "cannot connect to the database at postgres-primary.invalid:5432/todo" in ended.stderr
    assert "Name or service not known" in ended.stderr or "name resolution" in ended.stderr
    assert "hidden-password" not in ended.stderr
    assert time.monotonic() - began < 20
