from django.contrib.auth.models import User
from django.http import JsonResponse
from django.urls import path


def health(request):
    return JsonResponse({"status": "ok"})


def users(request):
    return JsonResponse({"users": User.objects.count()})


urlpatterns = [path("health", health), path("", users)]
