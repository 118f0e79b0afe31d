rootProject.name = "ping"
