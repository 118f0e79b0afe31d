from django.urls import path

urlpatterns = [path("items/", lambda request: None)]
