package main

import (
	"os"

	"github.com/gin-gonic/gin"
	"github.com/mark3labs/mcp-go/client"
)

func main() {
	tools, _ := client.NewStreamableHttpClient(os.Getenv("TOOLS_URL"))
	_ = tools
	router := gin.Default()
	router.GET("/healthz", func(c *gin.Context) { c.Status(200) })
	router.Run(":8080")
}
