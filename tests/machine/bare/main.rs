//! The least that an rmcp server on stdio can be: what Landfall's start and memory are measured against. It offers nothing.
use rmcp::{ServerHandler, ServiceExt, transport::stdio};

struct Bare;
impl ServerHandler for Bare {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Bare.serve(stdio()).await?.waiting().await?;
    Ok(())
}
