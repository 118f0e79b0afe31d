"""The five tools. Each works on one user's tasks and sees nobody else's."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field
from sqlalchemy import Engine
from sqlmodel import Session, select

from todo_mcp.models import Task

UserId = Annotated[str, Field(min_length=1, description="The user whose tasks these are")]
TaskId = Annotated[int, Field(description="As list_tasks shows it")]
Title = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=2000)]
Status = Literal["all", "pending", "completed"]


class TaskView(BaseModel):
    id: int
    title: str
    description: str | None
    completed: bool


class TaskList(BaseModel):
    tasks: list[TaskView]
    count: int


class DeletedTask(BaseModel):
    id: int
    title: str
    deleted: Literal[True] = True


def register_tools(server: MCPServer, engine: Engine) -> None:
    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False))
    def add_task(user_id: UserId, title: Title, description: Description | None = None) -> TaskView:
        """Add a task to the user's list and return it with its id."""
        with Session(engine) as session:
            return _save(Task(user_id=user_id, title=title, description=description), session)

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def list_tasks(user_id: UserId, status: Status = "all") -> TaskList:
        """List the user's tasks, oldest first; `status` narrows them to pending or completed ones."""
        query = select(Task).where(Task.user_id == user_id).order_by(Task.id)
        if status != "all":
            query = query.where(Task.completed == (status == "completed"))
        with Session(engine) as session:
            tasks = [_view(task) for task in session.exec(query)]
        return TaskList(tasks=tasks, count=len(tasks))

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True))
    def complete_task(user_id: UserId, task_id: TaskId) -> TaskView:
        """Mark one of the user's tasks as completed and return it."""
        with Session(engine) as session:
            task = _find(user_id, task_id, session)
            task.completed = True
            return _save(task, session)

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True))
    def delete_task(user_id: UserId, task_id: TaskId) -> DeletedTask:
        """Delete one of the user's tasks for good and say which it was."""
        with Session(engine) as session:
            task = _find(user_id, task_id, session)
            deleted = DeletedTask(id=task.id, title=task.title)
            session.delete(task)
            session.commit()
        return deleted

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True))
    def update_task(
        user_id: UserId, task_id: TaskId, title: Title | None = None, description: Description | None = None
    ) -> TaskView:
        """Change the title or the description of one of the user's tasks; what is left out stays."""
        if title is None and description is None:
            raise ToolError("give a new title or a new description")
        with Session(engine) as session:
            task = _find(user_id, task_id, session)
            task.title = title or task.title
            task.description = task.description if description is None else description
            return _save(task, session)


def _find(user_id: str, task_id: int, session: Session) -> Task:
    task = session.exec(select(Task).where(Task.id == task_id, Task.user_id == user_id)).first()
    if task is None:
        raise ToolError(f"there is no task {task_id}; list_tasks shows the ids")
    return task


def _save(task: Task, session: Session) -> TaskView:
    task.updated_at = datetime.now(UTC)
    session.add(task)
    session.commit()
    session.refresh(task)
    return _view(task)


def _view(task: Task) -> TaskView:
    return TaskView(id=task.id, title=task.title, description=task.description, completed=task.completed)
