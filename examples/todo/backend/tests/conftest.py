"""The application on a SQLite file of its own, without a model and without an MCP server."""

import os
import tempfile
from collections.abc import Iterator

import pytest

_folder = tempfile.TemporaryDirectory()
os.environ.update(
    DATABASE_URL=f"sqlite:///{_folder.name}/test.db",
    JWT_SECRET="only-for-tests-" + "0" * 32,
    MCP_SERVER_URL="http://127.0.0.1:9/mcp",
)
os.environ.pop("OPENAI_API_KEY", None)
os.environ.pop("DATABASE_HOST", None)

from fastapi.testclient import TestClient  # noqa: E402  the settings are read on import

from app.main import app  # noqa: E402


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


class Account:
    """A registered user who asks for their own resources."""

    def __init__(self, client: TestClient, email: str) -> None:
        answer = client.post("/api/auth/register", json={"email": email, "password": "correct horse"})
        assert answer.status_code == 201, answer.text
        self.user_id = answer.json()["user_id"]
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        self._client = client

    def ask(self, method: str, path: str, **options):
        return self._client.request(method, f"/api/{self.user_id}/{path}", headers=self.headers, **options)


@pytest.fixture
def account(client: TestClient, request: pytest.FixtureRequest) -> Account:
    return Account(client, f"{request.node.name}@example.org")


@pytest.fixture
def other_account(client: TestClient, request: pytest.FixtureRequest) -> Account:
    return Account(client, f"other-{request.node.name}@example.org")
