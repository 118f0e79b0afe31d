"""What the environment must say before the backend starts."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

LogLevel = Annotated[Literal["critical", "error", "warning", "info", "debug"], BeforeValidator(str.lower)]


class Settings(BaseSettings):
    # An empty variable is what a template leaves behind for "not set".
    # Values stay out of error messages: some of them are secrets.
    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    database_url: SecretStr
    database_host: str | None = None
    """Replaces only the host of DATABASE_URL: a replica or a pooler with the same credentials."""

    jwt_secret: SecretStr = Field(min_length=32)
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    access_token_minutes: int = Field(default=60, gt=0)

    mcp_server_url: str
    """With the path, for example http://mcp-server:8001/mcp."""

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    openai_model: str = "gpt-4o-mini"

    cors_origins: str = ""
    """Comma-separated. Empty when the frontend proxies, as the one in this repository does."""

    log_level: LogLevel = "info"

    @field_validator("database_url")
    @classmethod
    def _is_a_url(cls, value: SecretStr) -> SecretStr:
        try:
            make_url(value.get_secret_value())
        except ArgumentError:
            raise ValueError("not a database URL, such as postgresql://user:password@host:5432/name") from None
        return value

    @property
    def database(self) -> URL:
        url = make_url(self.database_url.get_secret_value())
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        if self.database_host and url.host:
            url = url.set(host=self.database_host)
        return url

    @property
    def allowed_origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]


def load_settings() -> Settings:
    """Exits with one line per missing or malformed variable, named as the environment names it."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise SystemExit("configuration: " + "; ".join(problems)) from None
