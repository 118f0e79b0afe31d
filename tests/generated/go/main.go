package main

import (
	"embed"
	"fmt"
	"log"
	"net/http"
	"os"
)

//go:embed words.txt
var words embed.FS

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, "ok") })
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		text, _ := words.ReadFile("words.txt")
		_, _ = answer.Write(text)
	})
	log.Fatal(http.ListenAndServe(":"+port, nil))
}
