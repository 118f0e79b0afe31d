use axum::{Router, routing::get};

#[tokio::main]
async fn main() {
    let key = std::env::var("QUOTES_API_KEY").expect("QUOTES_API_KEY");
    let app = Router::new().route("/health", get(|| async { "ok" }));
    let listener = tokio::net::TcpListener::bind("0.0.0.0:3030").await.unwrap();
    axum::serve(listener, app).await.unwrap();
}
