from django.urls import include, path

urlpatterns = [path("health/", lambda request: None), path("shop/", include("shop.urls"))]
