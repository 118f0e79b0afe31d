rootProject.name = "ledger"
include(":service", ":common")
