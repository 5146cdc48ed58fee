"""`pcavs evaluate` and `pcavs compare`: render films, measure them, aggregate the metrics and write a report."""
