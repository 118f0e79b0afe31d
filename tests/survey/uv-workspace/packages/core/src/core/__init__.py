from fastapi import FastAPI

def make() -> FastAPI:
    app = FastAPI()
    return app
