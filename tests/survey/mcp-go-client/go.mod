module example.org/assistant

go 1.24

require (
	github.com/gin-gonic/gin v1.10.0
	github.com/mark3labs/mcp-go v0.43.0
)
