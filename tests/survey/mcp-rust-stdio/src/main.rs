use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router, transport::stdio};

struct Calendar;

#[tool_router]
impl Calendar {
    #[tool(description = "Lists the events of a day")]
    async fn list_events(&self) -> String {
        std::env::var("CALENDAR_FILE").unwrap_or_default()
    }
}

#[tool_handler]
impl ServerHandler for Calendar {}

#[tokio::main]
async fn main() {
    Calendar.serve(stdio()).await.unwrap().waiting().await.unwrap();
}
