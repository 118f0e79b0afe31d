package main

import (
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	notes := server.NewMCPServer("notes", "1.0.0")
	notes.AddTool(mcp.NewTool("add_note", mcp.WithDescription("Adds a note")), addNote)
	notes.AddTool(mcp.NewTool("list_notes"), listNotes)
	served := server.NewStreamableHTTPServer(notes)
	served.Start("0.0.0.0:8085")
}
