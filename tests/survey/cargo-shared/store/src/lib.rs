use tokio_postgres::Client;

pub fn address() -> String {
    std::env::var("PARCELS_DATABASE_URL").expect("PARCELS_DATABASE_URL is set")
}
