plugins {
    id("org.springframework.boot") version "3.4.1"
    java
}

dependencies {
    implementation(project(":common"))
    implementation("org.springframework.boot:spring-boot-starter-web")
}
