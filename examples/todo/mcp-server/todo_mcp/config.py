"""What the environment must say before the server starts."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

LogLevel = Annotated[Literal["critical", "error", "warning", "info", "debug"], BeforeValidator(str.lower)]


class Settings(BaseSettings):
    # An empty variable is what a template leaves behind for "not set".
    # Values stay out of error messages: one of them is a secret.
    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    database_url: SecretStr
    port: int = Field(default=8001, gt=0, lt=65536)

    allowed_hosts: str = ""
    """Comma-separated Host headers, `name:*` for any port. Empty accepts every Host:
    behind a Service the name is the cluster's choice, and a refusal is an opaque 421."""

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
        return url

    @property
    def hosts(self) -> list[str]:
        return [host.strip() for host in self.allowed_hosts.split(",") if host.strip()]


def load_settings() -> Settings:
    """Exits with one line per missing or malformed variable, named as the environment names it."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise SystemExit("configuration: " + "; ".join(problems)) from None
