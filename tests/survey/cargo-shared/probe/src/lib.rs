pub fn token() -> Option<String> {
    std::env::var("PROBE_TOKEN").ok()
}
