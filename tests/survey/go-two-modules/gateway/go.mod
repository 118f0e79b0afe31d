module example.org/fleet/gateway

go 1.24

require example.org/fleet/telemetry v0.0.0

replace example.org/fleet/telemetry => ../telemetry
