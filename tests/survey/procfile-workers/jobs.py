import os

from celery import Celery

app = Celery("jobs", broker=os.environ["CELERY_BROKER_URL"])
