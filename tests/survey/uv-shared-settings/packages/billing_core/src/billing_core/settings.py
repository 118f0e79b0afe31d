from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    database_url: str
    currency: str = "EUR"


def get_settings() -> Settings:
    return Settings()
