import os
from locust import HttpUser, task


class Shopper(HttpUser):
    host = os.environ['SHOP_URL']

    @task
    def look(self):
        self.client.get('/')
