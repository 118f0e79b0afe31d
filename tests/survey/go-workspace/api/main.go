package main

import (
	"net/http"
	"os"
)

const healthPath = "/healthz"

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8085"
	}
	mux := http.NewServeMux()
	mux.HandleFunc(healthPath, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) })
	_ = http.ListenAndServe(":"+port, mux)
}
