"""Passwords, access tokens, and who may see whose tasks."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import Depends, HTTPException, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.config import Settings
from app.dependencies import AppSettings

# OWASP's smallest Argon2id profile: the library's default takes 64 MiB per sign-in,
# which a few simultaneous ones would turn into an out-of-memory kill.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_bearer = HTTPBearer(auto_error=False)


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def password_matches(password: str, password_hash: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def issue_token(user_id: str, settings: Settings) -> str:
    now = datetime.now(UTC)
    claims = {"sub": user_id, "iat": now, "exp": now + timedelta(minutes=settings.access_token_minutes)}
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm=settings.jwt_algorithm)


def owner(
    user_id: str,
    settings: AppSettings,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """The user of the path, once the token has proved that the caller is that user."""
    if credentials is None:
        raise _unauthorized("sign in first")
    if _subject(credentials.credentials, settings) != user_id:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "this belongs to another user")
    return user_id


def _subject(token: str, settings: Settings) -> str:
    try:
        claims = jwt.decode(
            token,
            settings.jwt_secret.get_secret_value(),
            algorithms=[settings.jwt_algorithm],
            options={"require": ["sub", "exp"]},
        )
    except jwt.InvalidTokenError:
        raise _unauthorized("the access token is not valid or has expired") from None
    return claims["sub"]


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(status.HTTP_401_UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})


Owner = Annotated[str, Depends(owner)]
