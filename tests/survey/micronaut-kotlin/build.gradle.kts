plugins {
    kotlin("jvm") version "2.1.0"
    id("io.micronaut.application") version "4.4.4"
}

kotlin {
    jvmToolchain(21)
}

dependencies {
    implementation("io.micronaut:micronaut-management")
}
