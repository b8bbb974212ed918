"""Write the alert rules and dashboards that are shipped."""
