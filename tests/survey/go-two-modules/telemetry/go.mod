module example.org/fleet/telemetry

go 1.24
