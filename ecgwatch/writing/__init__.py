"""Files that the commands write: events as WFDB annotations and tables, each complete or not there."""
