"""The user's own tasks."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, status
from pydantic import BaseModel, Field
from sqlmodel import Session, select

from app.dependencies import DatabaseSession
from app.models import Task
from app.security import Owner

router = APIRouter(prefix="/api/{user_id}/tasks", tags=["tasks"])

Title = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=2000)]


class NewTask(BaseModel):
    title: Title
    description: Description | None = None


class TaskChange(BaseModel):
    """Only the fields that are present are changed."""

    title: Title = ""
    description: Description | None = None
    completed: bool = False


@router.get("")
def list_tasks(user_id: Owner, session: DatabaseSession) -> list[Task]:
    return list(session.exec(select(Task).where(Task.user_id == user_id).order_by(Task.id)))


@router.post("", status_code=status.HTTP_201_CREATED)
def add_task(user_id: Owner, new: NewTask, session: DatabaseSession) -> Task:
    return _save(Task(user_id=user_id, **new.model_dump()), session)


@router.put("/{task_id}")
def update_task(user_id: Owner, task_id: int, change: TaskChange, session: DatabaseSession) -> Task:
    task = _find(user_id, task_id, session)
    task.sqlmodel_update(change.model_dump(exclude_unset=True))
    task.updated_at = datetime.now(UTC)
    return _save(task, session)


@router.delete("/{task_id}", status_code=status.HTTP_204_NO_CONTENT)
def delete_task(user_id: Owner, task_id: int, session: DatabaseSession) -> None:
    session.delete(_find(user_id, task_id, session))
    session.commit()


def _find(user_id: str, task_id: int, session: Session) -> Task:
    task = session.exec(select(Task).where(Task.id == task_id, Task.user_id == user_id)).first()
    if task is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no task {task_id}")
    return task


def _save(task: Task, session: Session) -> Task:
    session.add(task)
    session.commit()
    session.refresh(task)
    return task
