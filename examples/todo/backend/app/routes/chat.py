"""The chat: what was said is kept, and the assistant answers with the last of it in mind."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, status
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from sqlalchemy import Engine
from sqlmodel import Session, select

from app import agent
from app.dependencies import AppSettings, DatabaseEngine
from app.models import Author, Conversation, Message
from app.security import Owner

router = APIRouter(prefix="/api/{user_id}/chat", tags=["chat"])

REMEMBERED_MESSAGES = 20


class ChatRequest(BaseModel):
    message: Annotated[str, Field(min_length=1, max_length=4000)]
    conversation_id: int | None = None


class ToolCall(BaseModel):
    name: str
    arguments: dict[str, Any]


class ChatAnswer(BaseModel):
    conversation_id: int
    response: str
    tool_calls: list[ToolCall]


@router.post("")
async def chat(user_id: Owner, request: ChatRequest, settings: AppSettings, engine: DatabaseEngine) -> ChatAnswer:
    if settings.openai_api_key is None:
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, "chat is off: OPENAI_API_KEY is not set")

    conversation_id, history = await run_in_threadpool(_open, engine, user_id, request)
    try:
        answer = await agent.answer(settings, user_id, history)
    except agent.AssistantUnavailable as error:
        raise HTTPException(status.HTTP_502_BAD_GATEWAY, str(error)) from error

    await run_in_threadpool(_remember, engine, conversation_id, Author.ASSISTANT, answer.text)
    return ChatAnswer(
        conversation_id=conversation_id,
        response=answer.text,
        tool_calls=[ToolCall(name=call.name, arguments=call.arguments) for call in answer.tool_calls],
    )


def _open(engine: Engine, user_id: str, request: ChatRequest) -> tuple[int, list[dict[str, str]]]:
    """Stores the user's message and returns the conversation with the tail of what was said in it."""
    with Session(engine) as session:
        conversation = _conversation(session, user_id, request.conversation_id)
        session.add(Message(conversation_id=conversation.id, role=Author.USER, content=request.message))
        session.commit()
        newest_first = session.exec(
            select(Message)
            .where(Message.conversation_id == conversation.id)
            .order_by(Message.id.desc())
            .limit(REMEMBERED_MESSAGES)
        ).all()
        history = [{"role": message.role, "content": message.content} for message in reversed(newest_first)]
        return conversation.id, history


def _conversation(session: Session, user_id: str, conversation_id: int | None) -> Conversation:
    if conversation_id is None:
        conversation = Conversation(user_id=user_id)
        session.add(conversation)
        session.flush()
        return conversation
    conversation = session.get(Conversation, conversation_id)
    if conversation is None or conversation.user_id != user_id:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no conversation {conversation_id}")
    return conversation


def _remember(engine: Engine, conversation_id: int, author: Author, text: str) -> None:
    with Session(engine) as session:
        session.add(Message(conversation_id=conversation_id, role=author, content=text))
        session.commit()
