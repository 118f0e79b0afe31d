package main

import (
	"net/http"

	"example.org/fleet/telemetry"
)

func main() {
	telemetry.Start()
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {})
	http.ListenAndServe(":8090", nil)
}
