"""The running system: store, intake, jobs, alerts' life cycle, HTTP API and command line."""
