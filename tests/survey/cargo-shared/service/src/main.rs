use axum::{Router, routing::get};

async fn main_router() -> Router {
    Router::new().route("/live", get(|| async { "ok" }))
}

#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:7100").await.unwrap();
    axum::serve(listener, main_router().await).await.unwrap();
}
