"""The Grafana dashboards, as code: one file a board, and the parts that they are made of."""
