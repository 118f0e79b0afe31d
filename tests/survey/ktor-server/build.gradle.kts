plugins {
    id("io.ktor.plugin") version "3.0.3"
}
