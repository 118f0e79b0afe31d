from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Base(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_", env_file=".env")


class Settings(Base):
    database_url: SecretStr
    redis_url: str = "redis://localhost:6379/0"
    token: SecretStr = Field(alias="SHOP_SIGNING_TOKEN")
    page_size: int = 50
    mail_host: str | None = None
