"""What a caller of the API sees."""

from pydantic import SecretStr as Secret
from sqlalchemy import create_engine


def test_liveness_and_readiness_answer(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready", "database": "reachable"}


def test_readiness_fails_and_liveness_holds_when_the_database_is_gone(client):
    engine = client.app.state.engine
    client.app.state.engine = create_engine("sqlite:////nonexistent/folder/todo.db")
    try:
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200
    finally:
        client.app.state.engine = engine


def test_a_registered_user_signs_in_whatever_the_case_of_the_email(client, account):
    email = "TEST_A_registered_user_signs_in_whatever_the_case_of_the_email@example.org"
    answer = client.post("/api/auth/login", json={"email": email, "password": "correct horse"})
    assert answer.status_code == 200
    assert answer.json()["user_id"] == account.user_id


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(client, account):
    emails = ["test_a_wrong_password_and_an_unknown_email_get_the_same_answer@example.org", "nobody@example.org"]
    answers = [client.post("/api/auth/login", json={"email": e, "password": "wrong horse"}) for e in emails]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()


def test_an_email_registers_once(client, account):
    again = {"email": "test_an_email_registers_once@example.org", "password": "correct horse"}
    assert client.post("/api/auth/register", json=again).status_code == 409


def test_a_task_is_added_changed_and_deleted(account):
    created = account.ask("POST", "tasks", json={"title": "buy milk"}).json()
    assert (created["title"], created["completed"]) == ("buy milk", False)

    changed = account.ask("PUT", f"tasks/{created['id']}", json={"completed": True}).json()
    assert (changed["title"], changed["completed"]) == ("buy milk", True)

    assert account.ask("DELETE", f"tasks/{created['id']}").status_code == 204
    assert account.ask("GET", "tasks").json() == []


def test_nobody_reaches_another_users_tasks(client, account, other_account):
    task = other_account.ask("POST", "tasks", json={"title": "private"}).json()

    by_path = client.get(f"/api/{other_account.user_id}/tasks", headers=account.headers)
    assert by_path.status_code == 403
    assert account.ask("DELETE", f"tasks/{task['id']}").status_code == 404


def test_without_a_valid_token_nothing_is_shown(client, account):
    path = f"/api/{account.user_id}/tasks"
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer forged"}).status_code == 401


def test_chat_says_that_it_has_no_key(account):
    answer = account.ask("POST", "chat", json={"message": "add a task to buy milk"})
    assert answer.status_code == 503
    assert "OPENAI_API_KEY" in answer.json()["detail"]


def test_chat_names_an_mcp_server_that_does_not_answer(client, account, monkeypatch):
    settings = client.app.state.settings.model_copy(update={"openai_api_key": Secret("unused")})
    monkeypatch.setattr(client.app.state, "settings", settings)
    answer = account.ask("POST", "chat", json={"message": "add a task to buy milk"})
    assert answer.status_code == 502
    assert "http://127.0.0.1:9/mcp" in answer.json()["detail"]
