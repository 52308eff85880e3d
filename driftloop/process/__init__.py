"""What every process needs: settings, ports, logs, health, telemetry, clocks, signals and errors."""
