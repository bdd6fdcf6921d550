"""Looking inside trained networks: their outputs, maps and errors, and where they look."""
