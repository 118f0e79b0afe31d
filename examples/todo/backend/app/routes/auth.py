"""Accounts and access tokens."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, status
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from app.config import Settings
from app.dependencies import AppSettings, DatabaseSession
from app.models import User
from app.security import hash_password, issue_token, password_matches

router = APIRouter(prefix="/api/auth", tags=["auth"])

# Checked instead of a real hash when the account does not exist, so that both answers take as long.
_NOBODY = hash_password("nobody")

Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$"), AfterValidator(str.lower)]


class Credentials(BaseModel):
    email: Email
    password: Annotated[str, Field(min_length=8, max_length=256)]


class AccessToken(BaseModel):
    access_token: str
    token_type: str = "bearer"
    user_id: str


@router.post("/register", status_code=status.HTTP_201_CREATED)
def register(credentials: Credentials, session: DatabaseSession, settings: AppSettings) -> AccessToken:
    user = User(email=credentials.email, password_hash=hash_password(credentials.password))
    session.add(user)
    try:
        session.commit()
    except IntegrityError:
        raise HTTPException(status.HTTP_409_CONFLICT, "this email is already registered") from None
    return _token(user, settings)


@router.post("/login")
def login(credentials: Credentials, session: DatabaseSession, settings: AppSettings) -> AccessToken:
    user = session.exec(select(User).where(User.email == credentials.email)).first()
    matches = password_matches(credentials.password, user.password_hash if user else _NOBODY)
    if user is None or not matches:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "email or password is wrong")
    return _token(user, settings)


def _token(user: User, settings: Settings) -> AccessToken:
    return AccessToken(access_token=issue_token(user.id, settings), user_id=user.id)
