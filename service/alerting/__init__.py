"""The life of alerts: one alert for a running event, not one a day."""
