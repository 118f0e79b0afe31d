def add_task(title: str) -> dict:
    return {"title": title}
