package main

import (
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	listener, _ := net.Listen("tcp", ":50051")
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	_ = server.Serve(listener)
}
