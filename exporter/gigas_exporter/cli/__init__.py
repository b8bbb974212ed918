"""The command line: it reads the environment, puts the parts together, and turns errors into one line and a status."""
